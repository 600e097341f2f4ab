package daemon

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/auth"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/managesieve"
	"gomaild/sieve"
	"gomaild/sieve/scripts"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

func (p *parts) manageSieveConfig(l *config.Listener) managesieve.Config {
	s := &p.c.Sieve
	engine := sieve.New(sieve.Config{
		Off: strings.Fields(s.DisableExtensions), Delimiter: p.c.Routing.RecipientDelimiter,
		Place: sieve.Anywhere, Programs: programExtensions(s), Reserved: reserved(s),
	})
	c := managesieve.Config{
		Auth: p.auth,
		Scripts: func(ctx context.Context, id auth.Identity) (*scripts.Store, error) {
			return p.openScripts(ctx, id, engine)
		},
		Extensions:      engine.Extensions(),
		TrustedNetworks: l.TrustedNetworks,
		Limits:          managesieve.Limits{LoginTimeout: time.Duration(p.c.Limits.LoginTimeout)},
		Logger:          p.d.log.With("listener", string(l.Type)),
	}
	if l.TLS != config.NoTLS {
		c.TLS = p.d.serverTLS(p.c)
	}
	return c
}

// openScripts opens the scripts of a login, whose directories are made first if
// nothing has come for it yet.
func (p *parts) openScripts(ctx context.Context, id auth.Identity, engine *sieve.Engine) (*scripts.Store, error) {
	m, err := p.db.Mailbox(ctx, id.Account)
	if err != nil {
		return nil, err
	}
	owner := p.owner(m)
	account, err := p.d.mail.store.Account(ctx, owner)
	if err != nil {
		return nil, err
	}
	home, err := maildir.Home(p.c.Storage.Path, owner)
	if err != nil {
		return nil, errors.Join(err, account.Close())
	}
	root, err := p.d.mail.fs.Sub(home)
	if err = errors.Join(err, account.Close()); err != nil {
		return nil, err
	}
	return scripts.New(scripts.Config{
		FS: root, Dir: p.c.Sieve.Dir, Path: filepath.Join(p.c.Storage.Root, home),
		UID: p.c.Storage.UID, GID: p.c.Storage.GID, Engine: engine,
		Global: p.globalScript,
		Room:   func(more int64) error { return p.scriptRoom(ctx, m, more) },
	}), nil
}

// globalScript is a script of the administrator that users' scripts include.
func (p *parts) globalScript(name string) ([]byte, error) {
	if p.c.Sieve.Global == "" {
		return nil, fs.ErrNotExist
	}
	return durable.ReadFile(p.d.mail.fs, path.Join(p.c.Sieve.Global, name+".sieve"))
}

// scriptRoom says whether a mailbox's account has room for so many octets of
// scripts. They are not counted, but an account that is full takes none.
func (p *parts) scriptRoom(ctx context.Context, m accounts.Mailbox, more int64) error {
	account, err := p.d.mail.store.Account(ctx, p.owner(m))
	if err != nil {
		return err
	}
	q, err := account.Quota(ctx)
	if err = errors.Join(err, account.Close()); err != nil {
		return err
	}
	if !q.Allows(q.Used, storage.Usage{Bytes: more}, false) {
		return scripts.ErrFull
	}
	return nil
}
