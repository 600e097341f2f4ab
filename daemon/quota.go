package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/accounts/usage"
	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// owner is whose account a mailbox is, and what it may hold.
func (p *parts) owner(m accounts.Mailbox) storage.Owner {
	o := storage.Owner{Address: m.Address, Maildir: m.Maildir}
	if q := &p.c.Quota; q.Enabled {
		o.Limits = storage.Limits{
			Counted: true,
			Max:     storage.Usage{Bytes: m.QuotaBytes, Messages: int64(q.Messages)},
			Grace:   q.Grace,
		}
	}
	return o
}

// ledger is what the mail store tells of what accounts hold. Without a keeper
// nobody listens.
type ledger struct {
	keeper  atomic.Pointer[usage.Keeper]
	domains atomic.Bool // domain.quota is a limit
}

func (l *ledger) changed(c storage.UsageChange) {
	if k := l.keeper.Load(); k != nil {
		k.Changed(usage.Change{
			Now:         accounts.Usage{Address: c.Owner, Bytes: c.Now.Bytes, Messages: c.Now.Messages},
			BytesBefore: c.Before.Bytes, MessagesBefore: c.Before.Messages,
			MaxBytes: c.Limits.Max.Bytes, MaxMessages: c.Limits.Max.Messages,
		})
	}
}

// shared keeps room of the domain's back.
func (l *ledger) shared(ctx context.Context, owner mail.Address, limits storage.Limits, add storage.Usage, delivery bool) (giveBack func(), err error) {
	k := l.keeper.Load()
	if k == nil || !l.domains.Load() {
		return func() {}, nil
	}
	grace := 0
	if delivery {
		grace = limits.Grace
	}
	giveBack, err = k.Hold(ctx, owner.Domain, add.Bytes, grace)
	if errors.Is(err, usage.ErrDomainFull) {
		return nil, fmt.Errorf("%w: %w", storage.ErrQuota, err)
	}
	return giveBack, err
}

// usageDB is a database as the keeper asks it.
type usageDB struct {
	*postfixadmin.DB
	unit int64
}

// DomainUsage implements usage.Database.
func (u usageDB) DomainUsage(ctx context.Context, domain string) (accounts.DomainUsage, error) {
	return u.DB.DomainUsage(ctx, domain, u.unit)
}

// startUsage writes to the database what accounts hold, and warns users, until
// the daemon stops.
func (d *Daemon) startUsage() {
	k := usage.New(usage.Config{Database: d.usageDB, Thresholds: d.warnAt, Warn: d.warnOfQuota, Count: d.countUsage, Logger: d.log})
	d.mail.ledger.keeper.Store(k)
	d.usage.Store(k)
	ctx, cancel := context.WithCancel(d.base)
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	d.undo.push("stop writing usage", func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

// showUsage lets a program without Run tell the database what accounts hold, and
// keep to a domain's limit: the function that is returned gives the warnings and
// writes. Mail is not refused because the tables cannot be written.
func (m *mailStore) showUsage(ctx context.Context, c *config.Config, db *postfixadmin.DB) (finish func(warn func(context.Context, usage.Warning))) {
	if !c.Quota.Enabled {
		return func(func(context.Context, usage.Warning)) {}
	}
	var warn func(context.Context, usage.Warning)
	k := usage.New(usage.Config{
		Database:   func() usage.Database { return usageDB{db, int64(c.Quota.DomainUnit)} },
		Thresholds: func() []int { return c.Quota.Warnings },
		Warn:       func(ctx context.Context, w usage.Warning) { warn(ctx, w) },
	})
	m.ledger.keeper.Store(k)
	m.ledger.domains.Store(c.Quota.Domains)
	return func(f func(context.Context, usage.Warning)) {
		warn = f
		k.Warnings(ctx)
		k.Flush(ctx)
	}
}

// usageDB is the database of the present configuration.
func (d *Daemon) usageDB() usage.Database {
	g := d.current.Load()
	if g == nil || !g.cfg.Quota.Enabled {
		return nil
	}
	return usageDB{g.db, int64(g.cfg.Quota.DomainUnit)}
}

// countUsage is what an account holds that nobody used since usage is written. One
// that has no directory yet holds nothing, and gets none by this.
func (d *Daemon) countUsage(ctx context.Context, a mail.Address) (accounts.Usage, error) {
	none := accounts.Usage{Address: a}
	g := d.current.Load()
	if g == nil {
		return none, errors.New("no configuration")
	}
	owner, err := d.mail.sharing.owner(ctx, a)
	if err != nil {
		return none, err
	}
	home, err := maildir.Home(g.cfg.Storage.Path, owner)
	if err != nil {
		return none, err
	}
	if _, err := d.mail.fs.Stat(home); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return none, err
	}
	account, err := d.mail.store.Account(ctx, owner)
	if err != nil {
		return none, err
	}
	quota, err := account.Quota(ctx)
	if err = errors.Join(err, account.Close()); err != nil {
		return none, err
	}
	return accounts.Usage{Address: a, Bytes: quota.Used.Bytes, Messages: quota.Used.Messages}, nil
}

func (d *Daemon) warnAt() []int {
	if g := d.current.Load(); g != nil {
		return g.cfg.Quota.Warnings
	}
	return nil
}

// flushUsage writes what the last sessions of a generation changed, as long as
// its database is open.
func (d *Daemon) flushUsage(ctx context.Context) {
	if k := d.usage.Load(); k != nil {
		k.Flush(ctx)
	}
}

// warnOfQuota sends a user the warning.
func (d *Daemon) warnOfQuota(ctx context.Context, w usage.Warning) {
	if g := d.current.Load(); g != nil {
		d.warnThrough(ctx, g.own, w)
	}
}

func (d *Daemon) warnThrough(ctx context.Context, own receive.Config, w usage.Warning) {
	err := receive.DeliverOwn(ctx, own, receive.Order{
		Session: "quota", To: w.Address, Content: bytes.NewReader(quotaWarning(d.hostname, time.Now(), w)),
	})
	d.log.InfoContext(ctx, "quota warning", "account", w.Address.String(), "percent", w.Percent)
	if err != nil {
		d.log.WarnContext(ctx, "quota warning was not delivered", "account", w.Address.String(), "error", err)
	}
}

// quotaWarning is the message in wire form. Nobody answers it (RFC 3834 section
// 5).
func quotaWarning(hostname string, now time.Time, w usage.Warning) []byte {
	return fmt.Appendf(nil, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n"+
		"To: %s\r\n"+
		"Subject: Your mailbox is %d %% full\r\n"+
		"Date: %s\r\n"+
		"Message-ID: <%s@%s>\r\n"+
		"Auto-Submitted: auto-generated\r\n"+
		"MIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=us-ascii\r\n"+
		"\r\n"+
		"Your mailbox holds %d %% of what it may hold.\r\n"+
		"\r\n"+
		"When it is full no more mail can be delivered to you. Please delete messages\r\n"+
		"that you do not need any more, those in the folder Trash too.\r\n",
		hostname, w.Address.String(), w.Percent, now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), rand.Text(), hostname, w.Percent)
}
