package routing

import (
	"context"
	"errors"

	"gomaild/accounts"
	"gomaild/mail"
)

// rules are the points where postfixadmin's meaning and the deployment's SQL
// part. Each is small; docs/routing.md says which addresses they move.
type rules interface {
	// next is where the rows for a lead, nil if there are none or if a is a
	// mailbox that they do not redirect.
	next(ctx context.Context, a mail.Address) ([]mail.Address, error)
	// deliverTo is the mailbox that takes mail for an address that leads no
	// further; accounts.ErrNotFound if nobody has it.
	deliverTo(ctx context.Context, a mail.Address) (accounts.Mailbox, string, error)
	// admitRouted decides about user%host and the like at a domain of ours.
	admitRouted(ctx context.Context, to mail.Address) error
}

// table asks for single rows, with and without the detail.
type table struct{ config Config }

// alias is the list in a's own row with "@other" entries filled in, nil if
// there is no row.
func (t table) alias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	list, err := t.config.Lookup.Alias(ctx, a)
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, nil
	}
	return filled(list, a.Local, ""), err
}

// baseAlias is the list in the row of a without its detail, with the detail
// put on each entry: team+x leads to alice+x and bob+x.
func (t table) baseAlias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	base, detail, ok := a.CutDetail(t.config.Delimiter)
	if !ok {
		return nil, nil
	}
	list, err := t.config.Lookup.Alias(ctx, base)
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, nil
	}
	return filled(list, base.Local, string(t.config.Delimiter)+detail), err
}

// catchAll is the list in the row "@domain"; entries get no detail, except
// that "@other" keeps the whole local part of a.
func (t table) catchAll(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	list, err := t.config.Lookup.Alias(ctx, mail.Address{Domain: a.Domain})
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, nil
	}
	return filled(list, a.Local, ""), err
}

// filled copies a list, with local for the entries that have only a domain and
// suffix after each local part.
func filled(list []mail.Address, local, suffix string) []mail.Address {
	var out []mail.Address
	for _, a := range list {
		if a.Local == "" {
			a.Local = local
		}
		a.Local += suffix
		out = append(out, a)
	}
	return out
}

// mailbox is the mailbox of a, or that of a without its detail.
func (t table) mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, string, error) {
	box, err := t.config.Lookup.Mailbox(ctx, a)
	base, detail, ok := a.CutDetail(t.config.Delimiter)
	if !ok || !errors.Is(err, accounts.ErrNotFound) {
		return box, "", err
	}
	box, err = t.config.Lookup.Mailbox(ctx, base)
	return box, detail, err
}

// question is one way to find where an address leads.
type question func(context.Context, mail.Address) ([]mail.Address, error)

// first is the answer of the first question that has one.
func first(ctx context.Context, a mail.Address, questions ...question) ([]mail.Address, error) {
	for _, ask := range questions {
		if list, err := ask(ctx, a); err != nil || list != nil {
			return list, err
		}
	}
	return nil, nil
}
