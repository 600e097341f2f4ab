package receive

import (
	"context"
	"errors"

	"gomaild/accounts"
	"gomaild/delivery/routing"
	"gomaild/mail"
)

// resolve decides about RCPT: where to's mail goes, all of it here, or the
// reply.
func (r *receiver) resolve(ctx context.Context, to mail.Address) ([]routing.Destination, error) {
	if r.isFinal {
		d, err := r.mailbox(ctx, to)
		switch {
		case err == nil:
			return []routing.Destination{d}, nil
		case !errors.Is(err, accounts.ErrNotFound):
			return nil, lookupFault(err)
		}
	}
	list, err := r.Router.Resolve(ctx, to)
	switch {
	case errors.Is(err, routing.ErrNotLocal) && r.relays && !r.Elsewhere:
		return nil, noRelay(to)
	case errors.Is(err, routing.ErrNotLocal) && r.relays:
		if list, err = r.Router.Relay(ctx, to); err != nil {
			return nil, lookupFault(err)
		}
	case err != nil:
		return nil, lookupFault(err)
	}
	return r.served(to, list)
}

// mailbox is the mailbox of a final address, its detail cut off.
func (r *receiver) mailbox(ctx context.Context, to mail.Address) (routing.Destination, error) {
	box, err := r.Mailboxes.Mailbox(ctx, to)
	if err == nil {
		return routing.Destination{Class: routing.Local, Address: to, Mailbox: box}, nil
	}
	base, detail, ok := to.CutDetail(r.Delimiter)
	if !ok || !errors.Is(err, accounts.ErrNotFound) {
		return routing.Destination{}, err
	}
	box, err = r.Mailboxes.Mailbox(ctx, base)
	return routing.Destination{Class: routing.Local, Address: to, Mailbox: box, Detail: detail}, err
}

// served keeps the destinations that mail can be brought to. Members of an alias
// that exist no more do not stop the others' mail; one that lives elsewhere
// stops it all where nothing can be owed, as its mail could not be kept.
func (r *receiver) served(to mail.Address, list []routing.Destination) ([]routing.Destination, error) {
	var kept []routing.Destination
	for _, d := range list {
		switch d.Class {
		case routing.Local, routing.Discard:
			kept = append(kept, d)
		case routing.NoUser:
			r.Logger.Warn("alias leads to nobody", "recipient", to.String(), "member", d.Address.String())
		default:
			if !r.Elsewhere {
				return nil, leadsOutside(to, d)
			}
			kept = append(kept, d)
		}
	}
	if len(kept) == 0 {
		return nil, &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "<" + to.String() + ">: Recipient address rejected: User unknown"}
	}
	return kept, nil
}

// noRelay refuses a submission to another host's recipient.
func noRelay(to mail.Address) error {
	return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "<" + to.String() + ">: Recipient address rejected: sending to other hosts is not enabled here"}
}

// leadsOutside defers: the sender keeps the mail until the alias or the
// configuration has been changed.
func leadsOutside(to mail.Address, d routing.Destination) error {
	return &mail.Status{
		Code: 451, Enhanced: "4.3.5", Text: "<" + to.String() + ">: leads to another host, and relaying is not enabled here",
		Cause: errors.New("destination " + d.Address.String()),
	}
}
