package daemon

import (
	"context"
	"errors"
	"log/slog"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/internal/config"
)

// FilterAccount runs a Sieve script over mail that an account has already,
// beside a running server too. s says how; its Account and Of are set here.
// Its error is that of filter.Sweep; an account without mail has none.
func FilterAccount(ctx context.Context, c *config.Config, of accounts.Mailbox, s filter.Sweep) (err error) {
	log := slog.New(slog.DiscardHandler)
	name, err := hostname(c)
	if err != nil {
		return err
	}
	m, err := openMail(ctx, c, name, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	d := &Daemon{log: log, mail: m, hostname: name}
	p := &parts{d: d, c: c}
	if there, err := p.hasMail(of); err != nil || !there {
		return err
	}
	s.Of = of
	a, err := m.store.Account(ctx, p.owner(of))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s.Account = a
	return filter.New(d.filterConfig(c)).Sweep(ctx, s)
}
