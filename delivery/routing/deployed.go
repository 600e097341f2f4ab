package routing

import (
	"context"
	"errors"

	"gomaild/accounts"
	"gomaild/mail"
)

// deployedRules answer as Postfix did over the replaced deployment's maps:
//
//   - Alias rows count for every domain, ours or not. Mailboxes are looked at
//     only when no row, the catch-all included, leads anywhere.
//   - In an alias domain, the target's alias rows count, but neither its
//     mailboxes nor its catch-all, and its own state does not matter.
//   - deliver refuses an address with a detail.
//
// That inactive alias domains and backup-MX domains count too is the Lookup's
// part: postfixadmin.Config.Deployed.
type deployedRules struct{ table }

func (t deployedRules) next(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	target, err := t.target(ctx, a.Domain)
	if err != nil {
		return nil, err
	}
	there := func(ask question) question {
		return func(ctx context.Context, a mail.Address) ([]mail.Address, error) {
			if target == "" {
				return nil, nil
			}
			return ask(ctx, mail.Address{Local: a.Local, Domain: target})
		}
	}
	return first(ctx, a, t.alias, there(t.alias), t.baseAlias, there(t.baseAlias), t.catchAll)
}

func (t deployedRules) target(ctx context.Context, name string) (string, error) {
	domain, err := t.config.Lookup.Domain(ctx, name)
	if errors.Is(err, accounts.ErrNotFound) {
		return "", nil
	}
	return domain.Target, err
}

func (t deployedRules) deliverTo(ctx context.Context, a mail.Address) (accounts.Mailbox, string, error) {
	box, err := t.config.Lookup.Mailbox(ctx, a)
	return box, "", err
}

// admitRouted refuses even a mailbox of that very name, as Postfix does with
// allow_percent_hack.
func (t deployedRules) admitRouted(_ context.Context, to mail.Address) error {
	return relayDenied(to)
}
