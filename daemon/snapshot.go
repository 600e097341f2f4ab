package daemon

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/accounts/snapshot"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// How often the database is looked at for changes, and how long that may take.
const (
	snapshotEvery   = time.Minute
	snapshotTimeout = 5 * time.Minute
)

// accountSource is what is asked about accounts: the database, or the guard
// before it.
type accountSource interface {
	accounts.Lookup
	Passwords(ctx context.Context, a mail.Address) (accounts.Mailbox, []string, error)
	SigningKeys(ctx context.Context) ([]accounts.SigningKey, error)
}

// accountsOf puts the snapshot behind a database, where there is one.
func (d *Daemon) accountsOf(c *config.Config, db *postfixadmin.DB) accountSource {
	if d.snapshot == nil {
		return db
	}
	return snapshot.NewGuard(db, d.snapshot, time.Duration(c.Accounts.SnapshotAge), d.log)
}

// carriedAccounts is the copy of the accounts that moves with the mail, below the
// mail root: the copy of a node that was passive for long is too old.
const carriedAccounts = ownDir + "/accounts"

// openSnapshot opens the copies of the accounts, on the node's own disk and below
// the mail root; they are kept up to date from startSnapshot on.
func (d *Daemon) openSnapshot() error {
	path := d.cfg.Accounts.Snapshot
	if path == "" {
		return nil
	}
	advice := "name a file in a directory that gomaild may make and write, or nothing"
	if err := MakeDir(filepath.Dir(path), 0o700); err != nil {
		return d.cfg.At("accounts.snapshot", err, "%s", advice)
	}
	dir, err := durable.OpenRoot(filepath.Dir(path))
	if err != nil {
		return d.cfg.At("accounts.snapshot", err, "%s", advice)
	}
	d.undo.push("close the snapshot", func(context.Context) error { d.snapshot = nil; return dir.Close() })
	keeper, err := snapshot.Open(snapshot.Config{Places: []snapshot.Place{{FS: dir, Name: filepath.Base(path)}, {FS: d.mail.fs, Name: carriedAccounts}}})
	if errors.Is(err, snapshot.ErrDamaged) {
		d.log.Warn("snapshot", "error", err)
		err = nil
	}
	if err != nil {
		return d.cfg.At("accounts.snapshot", err, "%s", advice)
	}
	d.snapshot = keeper
	return nil
}

// startSnapshot copies the accounts now and whenever they have changed, until
// the daemon stops.
func (d *Daemon) startSnapshot() {
	if d.snapshot == nil {
		return
	}
	ctx, cancel := context.WithCancel(d.base)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(snapshotEvery)
		defer tick.Stop()
		for {
			d.refreshSnapshot(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	d.undo.push("stop copying the accounts", func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

// refreshSnapshot asks the database of the present configuration. That it does
// not answer is told once, by the guard, when somebody is waiting for it.
func (d *Daemon) refreshSnapshot(ctx context.Context) {
	g := d.current.Load()
	if g == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	if err := d.snapshot.Refresh(ctx, g.db); err != nil && ctx.Err() == nil {
		d.log.Debug("snapshot", "error", err)
	}
}
