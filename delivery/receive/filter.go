package receive

import (
	"context"
	"io"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

// Filter is asked about a message that has come in whole, before it is anybody's
// (a milter). A *mail.Status refuses the message; another error is a fault, and
// the client comes again.
type Filter interface {
	Filter(ctx context.Context, c smtp.Client, from mail.ReversePath, to []mail.Address, content message.Content) (Filtered, error)
}

// Filtered is what a Filter wants.
type Filtered struct {
	Content    io.Reader // in place of the content, in wire form; nil leaves it
	Discard    bool      // answer 250 and keep nothing
	Quarantine bool      // to the junk folder
}

// filter asks all filters, each about what the one before made of the message.
// Contents that they made are closed with the transaction.
func (t *transaction) filter(ctx context.Context, c Content, head message.Trace) (Content, message.Trace, error) {
	to := make([]mail.Address, len(t.to))
	for i, a := range t.to {
		to[i] = a.Address
	}
	for _, f := range t.r.Filters {
		v, err := f.Filter(ctx, t.client, t.from, to, c)
		if err != nil {
			return c, head, err
		}
		t.isDiscarded = t.isDiscarded || v.Discard
		if v.Quarantine {
			t.folder = t.r.JunkFolder
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

func (t *transaction) closeMade() {
	for _, c := range t.made {
		_ = c.Close() // nothing was written through it
	}
}
