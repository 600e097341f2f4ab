package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/internal/config"
	"gomaild/message"
	"gomaild/policy/dkim/keys"
)

// signer makes the DKIM-Signature fields of our users' mail: with the keys on the
// mount, and for domains that have none with those of the database.
type signer struct {
	ring *keys.Ring
	db   *databaseKeys // nil: not asked
}

// Sign is keys.Ring.Sign.
func (s *signer) Sign(c message.Content) ([]byte, error) {
	fields, err := s.ring.Sign(c)
	if err != nil || len(fields) > 0 || s.db == nil {
		return fields, err
	}
	table, err := s.db.table(time.Now())
	if err != nil {
		return nil, err
	}
	return table.Sign(c)
}

// keysEvery is how often the keys of a database are read, at most.
const keysEvery = time.Minute

// databaseKeys are those in PostfixAdmin's tables, as they were a minute ago at
// most, or when the database answered last. Without any answer mail that a user
// submits waits: it might have to be signed.
type databaseKeys struct {
	ctx  context.Context // of the look-ups
	read func(context.Context) ([]accounts.SigningKey, error)
	log  *slog.Logger

	mu    sync.Mutex // guards what follows; held while the database is asked
	last  *keys.Table
	asked time.Time
}

func (k *databaseKeys) table(now time.Time) (*keys.Table, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last != nil && now.Sub(k.asked) < keysEvery {
		return k.last, nil
	}
	rows, err := k.read(k.ctx)
	if err != nil {
		if k.last == nil {
			return nil, err
		}
		k.log.Warn("DKIM keys of the database: those of before are used", "error", err)
	} else {
		k.last = signingTable(rows, k.log)
	}
	k.asked = now
	return k.last, nil
}

// signingTable is the rows that are keys; the others are logged.
func signingTable(rows []accounts.SigningKey, log *slog.Logger) *keys.Table {
	table := &keys.Table{}
	for _, r := range rows {
		key, err := keys.Parse(r.Domain, r.Selector, []byte(r.PEM))
		if err != nil {
			log.Error("a row of the table dkim is no key that can sign", "domain", r.Domain, "selector", r.Selector, "author", r.Author, "error", err)
			continue
		}
		table.Add(r.Author, key)
	}
	return table
}

// DatabaseKeys are the keys of the database that c names, none where it is not to
// be asked for them. The error is a fault.
func DatabaseKeys(ctx context.Context, c *config.Config, log *slog.Logger) (table *keys.Table, err error) {
	if !c.Accounts.DKIMKeys {
		return &keys.Table{}, nil
	}
	pc, err := AccountsConfig(c, log)
	if err != nil {
		return nil, err
	}
	db, err := postfixadmin.Open(ctx, pc)
	if err != nil {
		return nil, c.At("accounts", err, "mend the table [accounts]")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	return signingTable(rows, log), nil
}
