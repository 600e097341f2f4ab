package routing

import (
	"context"
	"errors"

	"gomaild/accounts"
	"gomaild/mail"
)

// meantRules are postfixadmin's tables as they are meant:
//
//   - An address's own alias row comes first, then its own mailbox, then both
//     for the address without its detail, then the same at the target of an
//     alias domain; a catch-all only takes what nobody has, its own domain's
//     before the target's.
//   - An alias domain is another name for all of its target, mailboxes and
//     catch-all included, as long as both domains are active. Alias domains of
//     alias domains are not followed, as postfixadmin makes none.
//   - alice+detail is alice's mail.
//   - Rows of a domain that is not ours do nothing.
type meantRules struct{ table }

func (t meantRules) next(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	domain, err := t.config.Lookup.Domain(ctx, a.Domain)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case domain.Class == accounts.Relay:
		return first(ctx, a, t.alias, t.baseAlias, t.catchAll)
	}
	if next, found, err := t.own(ctx, a); err != nil || found {
		return next, err
	}
	target, err := t.target(ctx, domain)
	if err != nil {
		return nil, err
	}
	if target == "" {
		return t.catchAll(ctx, a)
	}
	there := mail.Address{Local: a.Local, Domain: target}
	if _, found, err := t.own(ctx, there); err != nil || found {
		return only(there, err)
	}
	if next, err := t.catchAll(ctx, a); err != nil || next != nil {
		return next, err
	}
	if next, err := t.catchAll(ctx, there); err != nil || next != nil {
		return only(there, err)
	}
	return nil, nil
}

// own asks for rows of the address itself, with and then without its detail.
// It may be found and lead nowhere: a mailbox.
func (t meantRules) own(ctx context.Context, a mail.Address) (next []mail.Address, found bool, err error) {
	if next, err := t.alias(ctx, a); err != nil || next != nil {
		return next, true, err
	}
	switch _, err := t.config.Lookup.Mailbox(ctx, a); {
	case err == nil:
		return nil, true, nil
	case !errors.Is(err, accounts.ErrNotFound):
		return nil, false, err
	}
	if next, err := t.baseAlias(ctx, a); err != nil || next != nil {
		return next, true, err
	}
	_, _, err = t.mailbox(ctx, a)
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, false, nil
	}
	return nil, err == nil, err
}

// target is the domain that an alias domain stands for, "" for any other
// domain and when the target is not hosted here, or not active.
func (t meantRules) target(ctx context.Context, d accounts.Domain) (string, error) {
	if d.Class != accounts.AliasOf {
		return "", nil
	}
	target, err := t.config.Lookup.Domain(ctx, d.Target)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case target.Class != accounts.Hosted:
		return "", nil
	}
	return target.Name, nil
}

func (t meantRules) deliverTo(ctx context.Context, a mail.Address) (accounts.Mailbox, string, error) {
	return t.mailbox(ctx, a)
}

// admitRouted takes user%host only where that is somebody's very name.
func (t meantRules) admitRouted(ctx context.Context, to mail.Address) error {
	_, found, err := t.own(ctx, to)
	if err == nil && !found {
		return relayDenied(to)
	}
	return err
}

func only(a mail.Address, err error) ([]mail.Address, error) {
	if err != nil {
		return nil, err
	}
	return []mail.Address{a}, nil
}
