package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"

	"gomaild/accounts"
	"gomaild/cluster"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// AccountReport is what was found in one account.
type AccountReport struct {
	Address mail.Address
	Faults  []string // before the repair, if there was one
	Left    []string // after it
	Err     error    // it could not be looked at
}

// CheckAccounts looks through the mail of accounts, beside a running server too,
// and tells of each that has mail; with repair it puts right what can be, after it
// has put back what a crash left in the journal, where no server runs that has. It
// goes on behind an account that cannot be looked at.
func CheckAccounts(ctx context.Context, c *config.Config, all []accounts.Mailbox, repair bool, tell func(AccountReport)) (err error) {
	name, err := hostname(c)
	if err != nil {
		return err
	}
	if repair {
		if err := replayLeft(c); err != nil {
			return err
		}
	}
	m, err := openMail(ctx, c, name, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	p := &parts{d: &Daemon{mail: m, hostname: name}, c: c}
	for _, box := range all {
		r := AccountReport{Address: box.Address}
		there, err := p.hasMail(box)
		if err == nil && !there {
			continue
		}
		if err == nil {
			r, err = p.checkAccount(ctx, box, repair)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Err = err
		tell(r)
	}
	return nil
}

// replayLeft replays the journal of a server that ended without a word. It has the
// mail root for a moment, in which no server starts.
func replayLeft(c *config.Config) (err error) {
	root, _, err := openRoot(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if _, err := root.Stat(journalDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	hold, err := cluster.Take(holdConfig(c, root))
	if errors.Is(err, cluster.ErrHeld) {
		return nil // it replayed when it started
	}
	if err != nil {
		return rootFault(c, err)
	}
	fenced := durable.Fenced(root, hold.Fence)
	err = journal.Recover(journal.Config{FS: fenced, Dir: journalDir, Size: int64(c.Storage.Journal), Fence: hold.Fence})
	if err != nil {
		err = journalFault(c, err)
	}
	return errors.Join(err, hold.Release())
}

// hasMail reports whether an account has a directory: opening it would make one.
func (p *parts) hasMail(box accounts.Mailbox) (bool, error) {
	dir, err := maildir.Home(p.c.Storage.Path, p.owner(box))
	if err != nil {
		return false, err
	}
	_, err = p.d.mail.fs.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (p *parts) checkAccount(ctx context.Context, box accounts.Mailbox, repair bool) (AccountReport, error) {
	r := AccountReport{Address: box.Address}
	o := p.owner(box)
	if !repair {
		if dir, err := maildir.Home(p.c.Storage.Path, o); err == nil {
			_, err = p.d.mail.fs.Stat(path.Join(dir, "maildirsize"))
			o.Limits.Counted = err == nil // a check takes no file away
		}
	}
	a, err := p.d.mail.store.Account(ctx, o)
	if err != nil {
		return r, err
	}
	defer a.Close()
	if r.Faults, err = a.Check(ctx); err != nil || !repair {
		r.Left = r.Faults
		return r, err
	}
	return r, r.repair(ctx, a)
}

func (r *AccountReport) repair(ctx context.Context, a storage.Account) error {
	if err := a.Repair(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	left, err := a.Check(ctx)
	r.Left = left
	return err
}
