package daemon

import (
	"context"
	"errors"
	"log/slog"

	"gomaild/accounts/postfixadmin"
	"gomaild/accounts/usage"
	"gomaild/delivery/receive"
	"gomaild/internal/config"
)

// DeliverDirect delivers one message in this process, as the lda listener of a
// running daemon would: `gomaild deliver` where none runs. nil means that the
// message survives a power cut; errors have a status where they are final. It
// may run beside a daemon and beside itself.
func DeliverDirect(ctx context.Context, c *config.Config, o receive.Order) (err error) {
	log := slog.New(slog.DiscardHandler) // the caller's exit status and output tell
	name, err := hostname(c)
	if err != nil {
		return err
	}
	pc, err := AccountsConfig(c, log)
	if err != nil {
		return err
	}
	db, err := postfixadmin.Open(ctx, pc)
	if err != nil {
		return c.At("accounts", err, "mend the table [accounts]")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store, err := openMail(ctx, c, name, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	finish := store.showUsage(ctx, c, db)
	d := &Daemon{log: log, hostname: name, mail: store}
	p, err := d.parts(c, db, db)
	if err != nil {
		return err
	}
	own := p.receiveConfig()
	err = receive.Deliver(ctx, own, o)
	finish(func(ctx context.Context, w usage.Warning) { d.warnThrough(ctx, own, w) })
	return err
}
