package postfixadmin

import (
	"context"
	"database/sql"
	"errors"

	"gomaild/accounts"
)

// retry runs a SELECT within the look-up timeout, and once more if its
// connection broke: behind ProxySQL and after a failover of the database the
// first statement on an old connection often meets a closed one. fn must be
// idempotent and use one connection.
//
// Callers get connections in the order in which they came, which the pool does
// not promise: after a failover everybody asks at once, and nobody is to be late
// twice. Who gets none in its time is told accounts.ErrBusy, since the database
// has not refused anything.
func (db *DB) retry(ctx context.Context, fn func(context.Context) error) error {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout)
	defer cancel()
	if err := db.takeTurn(ctx); err != nil {
		if outer.Err() != nil {
			return context.Cause(outer)
		}
		return err
	}
	defer db.turns.Release(1)
	err := fn(ctx)
	if err == nil || !isBroken(err) || ctx.Err() != nil {
		return err
	}
	db.log.Debug("database connection broke, asking again", "error", err)
	return fn(ctx)
}

func (db *DB) takeTurn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout/2)
	defer cancel()
	if err := db.turns.Acquire(ctx, 1); err != nil {
		return accounts.ErrBusy
	}
	return nil
}

// row is one SELECT for at most one row whose first column is the name that
// was asked for, lower-cased in ASCII as key.
type row struct {
	columns string // what to select, the name first
	from    string // the table
	name    string // the column that holds the name
	only    string // further condition, "" for none
}

// find asks for the row of key and scans it: into[0] must be the *string for
// the name. It returns accounts.ErrNotFound if there is no such row, or if the
// server's collation found a row of another name.
//
// MySQL's collations ignore case. SQLite's = does not, so rows in mixed case,
// which old releases and imports leave, take a second question there.
func (db *DB) find(ctx context.Context, r row, key string, name *string, into ...any) error {
	into = append([]any{name}, into...)
	err := db.one(ctx, r.statement(r.name), key, into)
	if errors.Is(err, sql.ErrNoRows) && db.config.Driver == SQLite {
		err = db.one(ctx, r.statement("LOWER("+r.name+")"), key, into)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return accounts.ErrNotFound
	case err != nil:
		db.unprobe(err)
		if NeedsOperator(err) {
			db.log.Error("the account database needs attention; mail waits", "error", err)
		}
		return err
	case !sameName(*name, key):
		return accounts.ErrNotFound
	}
	return nil
}

func (r row) statement(key string) string {
	s := "SELECT " + r.columns + " FROM " + r.from + " WHERE " + key + " = ?"
	if r.only != "" {
		s += " AND " + r.only
	}
	return s + " LIMIT 1"
}

func (db *DB) one(ctx context.Context, statement, key string, into []any) error {
	return db.retry(ctx, func(ctx context.Context) error {
		if db.config.Driver == SQLite {
			prepared, err := db.prepare(ctx, statement)
			if err != nil {
				return err
			}
			return prepared.QueryRowContext(ctx, key).Scan(into...)
		}
		return db.sql.QueryRowContext(ctx, statement, key).Scan(into...)
	})
}

// prepare parses a statement of SQLite once: that takes longer than a look-up
// does. Statements are made of the schema, so there are few. MySQL gets none:
// they would end ProxySQL's multiplexing.
func (db *DB) prepare(ctx context.Context, statement string) (*sql.Stmt, error) {
	db.mu.Lock()
	prepared := db.prepared[statement]
	db.mu.Unlock()
	if prepared != nil {
		return prepared, nil
	}
	prepared, err := db.sql.PrepareContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if first := db.prepared[statement]; first != nil {
		return first, prepared.Close()
	}
	if db.prepared == nil {
		db.prepared = map[string]*sql.Stmt{}
	}
	db.prepared[statement] = prepared
	return prepared, nil
}
