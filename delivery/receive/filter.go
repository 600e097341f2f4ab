package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

// Filter is asked about sessions and messages as they come in (a milter). In all
// that it is asked a *mail.Status refuses; another error is a fault, and the client
// comes again.
type Filter interface {
	// Open is asked when a client connects. The FilterVisit is to be closed.
	Open(ctx context.Context, c smtp.Client) (FilterVisit, error)
}

// FilterVisit is one session at a Filter.
type FilterVisit interface {
	// Hello is asked at EHLO, HELO and LHLO.
	Hello(ctx context.Context, c smtp.Client) error
	// Begin is asked at MAIL, after the checks of our own.
	Begin(ctx context.Context, c smtp.Client, from mail.ReversePath) (Filtering, error)
	// Close ends it, when all its messages have ended.
	Close()
}

// Filtering is one message at a Filter.
type Filtering interface {
	// Recipient is asked at RCPT, about one that would be accepted.
	Recipient(ctx context.Context, to mail.Address) error
	// Refused is told of a recipient that was refused, by whom ever else.
	Refused(ctx context.Context, to mail.Address, why *mail.Status)
	// Content is asked about the message, before it is anybody's.
	Content(ctx context.Context, c message.Content) (Filtered, error)
	// Close ends it, whatever became of the message.
	Close()
}

// Filtered is what a Filter wants.
type Filtered struct {
	Content    io.Reader // in place of the content, in wire form; nil leaves it
	Discard    bool      // answer 250 and keep nothing
	Quarantine bool      // to the junk folder
	Hold       bool      // into the queue, where it waits for a person

	Added   []mail.Address // recipients, who may be elsewhere
	Removed []mail.Address // recipients
	From    *mail.Address  // the reverse-path in place of the old one, nil to leave it
}

var errNotOpened = errors.New("receive: a message of a session that was not opened")

// visit is a session at a receiver with filters.
type visit struct {
	*receiver
	filters []FilterVisit
}

// Open implements smtp.Opener: filters hear of a client before it is greeted.
func (r *receiver) Open(ctx context.Context, c smtp.Client) (smtp.Visit, error) {
	v := &visit{receiver: r}
	for _, f := range r.Filters {
		one, err := f.Open(ctx, c)
		if err != nil {
			v.Close()
			return nil, err
		}
		v.filters = append(v.filters, one)
	}
	return v, nil
}

// Hello implements smtp.Visit.
func (v *visit) Hello(ctx context.Context, c smtp.Client) error {
	for _, f := range v.filters {
		if err := f.Hello(ctx, c); err != nil {
			v.newTransaction(c, mail.ReversePath{}).logRefusal(ctx, atHelo, "", err)
			return err
		}
	}
	return nil
}

// Begin implements smtp.Receiver.
func (v *visit) Begin(ctx context.Context, c smtp.Client, from mail.ReversePath) (smtp.Transaction, error) {
	return v.begin(ctx, c, from, v.filters)
}

// Close implements smtp.Visit.
func (v *visit) Close() {
	for _, f := range v.filters {
		f.Close()
	}
	v.filters = nil
}

// beginFilters asks all filters about the sender.
func (t *transaction) beginFilters(ctx context.Context, filters []FilterVisit) error {
	for _, f := range filters {
		one, err := f.Begin(ctx, t.client, t.from)
		if err != nil {
			t.closeFilters()
			return err
		}
		t.filters = append(t.filters, one)
	}
	return nil
}

// filterRecipient asks all filters about a recipient.
func (t *transaction) filterRecipient(ctx context.Context, to mail.Address) error {
	for _, f := range t.filters {
		if err := f.Recipient(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// tellRefused tells all filters of a recipient that is none.
func (t *transaction) tellRefused(ctx context.Context, to mail.Address, why error) {
	for _, f := range t.filters {
		f.Refused(ctx, to, mail.StatusOf(why))
	}
}

func (t *transaction) closeFilters() {
	for _, f := range t.filters {
		f.Close()
	}
	t.filters = nil
}

// filter asks all filters, each about what the one before made of the message.
// Contents that they made are closed with the transaction.
func (t *transaction) filter(ctx context.Context, c Content, head message.Trace) (Content, message.Trace, error) {
	for _, f := range t.filters {
		v, err := f.Content(ctx, c)
		if err != nil {
			return c, head, err
		}
		t.isDiscarded = t.isDiscarded || v.Discard
		t.isHeld = t.isHeld || v.Hold
		if v.Quarantine {
			t.folder = t.r.JunkFolder
		}
		if err := t.redirect(ctx, v); err != nil {
			return c, head, err
		}
		if v.Content == nil {
			continue
		}
		made, err := t.keep(v.Content)
		if err != nil {
			return c, head, err
		}
		t.made = append(t.made, made)
		c = made
		if head, err = t.inspect(c); err != nil {
			return c, head, err
		}
	}
	return c, head, nil
}

// redirect changes the envelope as a filter wants it. Nobody is removed who was
// asked about: he has his reply, and the message leads nowhere. Who is added is
// routed like a user's recipient, and has a part in the one reply.
func (t *transaction) redirect(ctx context.Context, v Filtered) error {
	if v.From != nil {
		t.log.InfoContext(ctx, "filter changes the reverse-path", "to", v.From.String())
		t.from.Address, t.from.UTF8 = *v.From, t.from.UTF8 || v.From.NeedsUTF8()
	}
	for _, a := range v.Removed {
		for i := range t.to {
			if t.to[i].Address.Fold() == a.Fold() {
				t.to[i].leadsTo = nil
			}
		}
	}
	trusting := *t.r
	trusting.relays = true
	for _, a := range v.Added {
		if slices.ContainsFunc(t.to, func(o accepted) bool { return o.leadsTo != nil && o.Address.Fold() == a.Fold() }) {
			continue
		}
		list, err := trusting.resolve(ctx, a)
		if err != nil {
			return fmt.Errorf("recipient of a filter: %w", err)
		}
		t.to = append(t.to, accepted{Recipient: mail.Recipient{Address: a}, leadsTo: list})
	}
	return nil
}

func (t *transaction) closeMade() {
	for _, c := range t.made {
		_ = c.Close() // nothing was written through it
	}
}
