package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomaild/delivery/local"
	"gomaild/delivery/routing"
	"gomaild/mail"
	"gomaild/message"
)

// attempt is one mailbox to deliver to, or one address elsewhere, for one or
// more recipients.
type attempt struct {
	place
	to     local.Recipient // of a mailbox
	owing  Owed
	isOwed bool // by the queue: elsewhere, or put off
	isGone bool // thrown away, as its transport says
	err    error
}

// place names a mailbox, or an address elsewhere, within one transaction.
type place struct {
	address   mail.Address
	detail    string
	elsewhere bool
}

// attempts are the distinct places, and for each recipient, then for each copy,
// those it leads to.
func (t *transaction) attempts(head message.Trace) (all []*attempt, of [][]*attempt) {
	met := make(map[place]*attempt)
	of = make([][]*attempt, len(t.to)+len(t.copies))
	for i, rcpt := range slices.Concat(t.to, t.copies) {
		for _, d := range rcpt.leadsTo {
			p := placeOf(d)
			a := met[p]
			if a == nil {
				a = t.attempt(p, rcpt, d)
				if t.isLoop(d, head) {
					a.err = loopStatus(d.Address)
				}
				met[p] = a
				all = append(all, a)
			}
			a.to.Vacation = a.to.Vacation || d.Vacation
			of[i] = append(of[i], a)
		}
	}
	return all, of
}

func placeOf(d routing.Destination) place {
	if d.Class == routing.Local {
		return place{address: d.Mailbox.Address.Fold(), detail: d.Detail}
	}
	return place{address: d.Address, elsewhere: true} // whose case is its host's business
}

// attempt prepares what is to be done for a place. What the client asked to be
// told (RFC 3461) goes along to where an alias leads, but for the success of one
// that leads to several: of that tellSuccess tells.
func (t *transaction) attempt(p place, rcpt accepted, d routing.Destination) *attempt {
	to := rcpt.Recipient
	if rcpt.isExpanded() {
		if to.Notify &^= mail.NotifySuccess; to.Notify == 0 { // which would be the default
			to.Notify = mail.NotifyNever
		}
	}
	if to.ORcpt == "" && to.Address != d.Address {
		kind, text := to.Address.DSNForm()
		to.ORcpt = kind + ";" + text
	}
	to.Address = d.Address
	if d.Class == routing.Discard {
		return &attempt{place: p, owing: Owed{Recipient: to}, isGone: true}
	}
	if p.elsewhere {
		return &attempt{place: p, owing: Owed{Recipient: to, Relay: d.Class == routing.Relay, Transport: d.Transport}, isOwed: true}
	}
	return &attempt{place: p, owing: Owed{Recipient: to, Here: true, Folder: t.folder}, to: t.recipient(rcpt, d)}
}

// recipient is the order to the delivery agent. Delivered-To is the final
// address, as Postfix writes it; over LMTP it is the address of RCPT, and only
// when there is no other recipient, as Dovecot does it: one must not learn of
// another.
func (t *transaction) recipient(rcpt accepted, d routing.Destination) local.Recipient {
	to := local.Recipient{Mailbox: d.Mailbox, Detail: d.Detail, Folder: t.folder, ReturnPath: t.r.addsTrace || t.r.isAgain}
	switch {
	case t.r.isLMTP && len(t.to) == 1:
		to.DeliveredTo = rcpt.Address
	case t.r.isAgain, t.r.addsTrace && !t.r.isLMTP:
		to.DeliveredTo = d.Address
	}
	return to
}

// isLoop reports that the message has been delivered to this very address
// before: it was forwarded and came back.
func (t *transaction) isLoop(d routing.Destination, head message.Trace) bool {
	if !t.r.addsTrace || t.r.isLMTP {
		return false
	}
	return slices.ContainsFunc(head.DeliveredTo, func(v string) bool {
		return strings.EqualFold(strings.Trim(v, "<> \t"), d.Address.String())
	})
}

func loopStatus(a mail.Address) error {
	return &mail.Status{Code: 554, Enhanced: "5.4.6", Text: "mail forwarding loop for <" + a.String() + ">"}
}

// owe makes the message durable for those elsewhere, all of them at once.
func (t *transaction) owe(ctx context.Context, c message.Content, attempts []*attempt) error {
	var to []Owed
	for _, a := range attempts {
		if a.err == nil && a.isOwed {
			to = append(to, a.owing)
		}
	}
	if len(to) == 0 {
		return nil
	}
	if t.client.Identity != nil {
		for i := range to {
			to[i].Account = t.client.Identity.Account
		}
	}
	owe := t.r.Owe
	if t.isHeld {
		owe = t.r.Hold
	}
	if owe == nil {
		return errNoQueue
	}
	id, err := owe(ctx, t.from, to, t.sealed(c))
	t.queueID = id
	return err
}

// errNoQueue: there is nothing that could keep what is owed.
var errNoQueue = &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "Message cannot be kept for later"}

// sealed is the message with the seal of a forwarder above it, where it gets
// one.
func (t *transaction) sealed(c message.Content) message.Content {
	if t.r.Seal == nil || !t.r.seals {
		return c
	}
	fields, err := t.r.Seal(c)
	if err != nil {
		t.log.Warn("message not sealed", "error", err)
		return c
	}
	return message.Joined{Head: fields, Tail: c}
}

// putOff owes the message to the mailboxes here that cannot take it now, where
// somebody else of the same reply has it: the next try of the client would bring
// it to those once more. Without that the client keeps it. It owes an answer to
// the sender, too, for those whose scripts refuse it while others have it (RFC
// 5429 section 2.1.1): the queue asks the script again, and tells of the refusal.
func (t *transaction) putOff(ctx context.Context, c message.Content, replies [][]*attempt) {
	if t.r.Owe == nil {
		return
	}
	var late []*attempt
	var to []Owed
	for _, list := range replies {
		if !slices.ContainsFunc(list, func(a *attempt) bool { return a.err == nil }) {
			continue
		}
		for _, a := range list {
			if a.err != nil && isPutOff(a.err) && !slices.Contains(late, a) {
				late = append(late, a)
				to = append(to, a.owing)
			}
		}
	}
	if len(late) == 0 {
		return
	}
	id, err := t.r.Owe(ctx, t.from, to, c)
	if err != nil {
		t.log.Error("message not put off: some recipients may get it twice", "error", err)
		return
	}
	for _, a := range late {
		t.log.Warn("mailbox put off", "queue_id", id, "mailbox", a.to.Mailbox.Address.String(), "error", a.err)
		a.err, a.isOwed = nil, true
	}
}

func isPutOff(err error) bool {
	return mail.StatusOf(err).Temporary() || errors.Is(err, local.ErrRefused)
}

// run makes the local attempts that are not settled.
func (t *transaction) run(ctx context.Context, m local.Message, attempts []*attempt) {
	var open []*attempt
	var to []local.Recipient
	for _, a := range attempts {
		if a.err == nil && !a.isOwed && !a.isGone {
			open = append(open, a)
			to = append(to, a.to)
		}
	}
	if len(open) == 0 {
		return
	}
	results := t.r.Local.Deliver(ctx, m, to)
	for i, a := range open {
		a.err = fmt.Errorf("delivery to %s: no result", a.to.Mailbox.Address)
		if i < len(results) {
			a.err = results[i]
		}
	}
}

// isExpanded reports an alias of several addresses whose sender wants to hear of
// success: he hears that it was expanded, and no more (RFC 3461 section 5.2.7.3,
// c).
func (a accepted) isExpanded() bool {
	return len(a.leadsTo) > 1 && a.Notify&mail.NotifySuccess != 0
}

// tellSuccess tells the sender of mailboxes that have the message, and of aliases
// all of whose members have it or are owed it, where that was asked for.
func (t *transaction) tellSuccess(ctx context.Context, c message.Content, attempts []*attempt, of [][]*attempt) {
	if t.from.IsNull() {
		return
	}
	var to, expanded []mail.Recipient
	for _, a := range attempts {
		if a.err == nil && !a.isOwed && !a.isGone && a.owing.Notify&mail.NotifySuccess != 0 {
			to = append(to, a.owing.Recipient)
		}
	}
	for i, rcpt := range t.to {
		if rcpt.isExpanded() && !slices.ContainsFunc(of[i], func(a *attempt) bool { return a.err != nil }) {
			expanded = append(expanded, rcpt.Recipient)
		}
	}
	t.tell(ctx, t.r.Delivered, to, c)
	t.tell(ctx, t.r.Expanded, expanded, c)
}

// tell calls one that tells the sender. That it cannot be told does not undo the
// delivery.
func (t *transaction) tell(ctx context.Context, how func(context.Context, mail.ReversePath, []mail.Recipient, message.Content) error, to []mail.Recipient, c message.Content) {
	if how == nil || len(to) == 0 {
		return
	}
	if err := how(ctx, t.from, to, c); err != nil {
		t.log.ErrorContext(ctx, "sender not told of the delivery", "error", err)
	}
}
