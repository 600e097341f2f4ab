package routing

import (
	"context"
	"errors"
	"fmt"

	"gomaild/accounts"
	"gomaild/mail"
)

// MaySendAs reports whether the account login may use from as its sender:
//
//   - its own address, with or without a +detail, also under an alias domain;
//   - an alias that leads to it, also by way of other aliases.
//
// A catch-all lends nobody its domain. Another account's mailbox is never
// lent, even when its mail is forwarded to login: who forwards lets others
// read, not write. The null reverse-path is the caller's business; here it is
// nobody's. A chain longer than the limits of Expand says no. An error is a
// fault of the account database.
func (r *Router) MaySendAs(ctx context.Context, login, from mail.Address) (bool, error) {
	if from.Local == "" || from.Domain == "" {
		return false, nil
	}
	s := senderCheck{r: r, table: meantRules{table{r.config}}, login: login.Fold(), met: make(map[mail.Address]bool)}
	ok, err := s.leads(ctx, from.Fold(), 0)
	if err != nil {
		return false, fmt.Errorf("may %s send as %s: %w", login, from, err)
	}
	return ok, nil
}

// senderCheck is the state of one MaySendAs; its addresses are folded.
type senderCheck struct {
	r     *Router
	table meantRules
	login mail.Address
	met   map[mail.Address]bool
}

func (s *senderCheck) leads(ctx context.Context, a mail.Address, depth int) (bool, error) {
	if s.met[a] || depth > s.r.config.MaxDepth || len(s.met) >= s.r.config.MaxExpansion {
		return false, nil
	}
	if own, err := s.isOwn(ctx, a); own || err != nil {
		return own, err
	}
	s.met[a] = true
	next, err := s.next(ctx, a)
	if err != nil {
		return false, err
	}
	for _, n := range next {
		if ok, err := s.leads(ctx, s.r.qualify(n).Fold(), depth+1); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// isOwn reports that a is the login, or the login with a detail. What looks
// like a detail may be the name of another account.
func (s *senderCheck) isOwn(ctx context.Context, a mail.Address) (bool, error) {
	if a == s.login {
		return true, nil
	}
	if base, _, ok := a.CutDetail(s.r.config.Delimiter); !ok || base != s.login {
		return false, nil
	}
	_, err := s.table.config.Lookup.Mailbox(ctx, a)
	if errors.Is(err, accounts.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// next is where a's own rows lead; nil for other accounts' mailboxes and for
// domains that are not ours.
func (s *senderCheck) next(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	domain, err := s.table.config.Lookup.Domain(ctx, a.Domain)
	switch {
	case errors.Is(err, accounts.ErrNotFound) || err == nil && domain.Class == accounts.StrayAlias:
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch _, _, err := s.table.mailbox(ctx, a); {
	case err == nil:
		return nil, nil
	case !errors.Is(err, accounts.ErrNotFound):
		return nil, err
	}
	next, err := first(ctx, a, s.table.alias, s.table.baseAlias)
	if err != nil || next != nil {
		return next, err
	}
	target, err := s.table.target(ctx, domain)
	if err != nil || target == "" {
		return nil, err
	}
	return only(mail.Address{Local: a.Local, Domain: target}, nil)
}
