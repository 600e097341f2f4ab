package postfixadmin

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

// ErrExists means that there is a row of that name already.
var ErrExists = errors.New("exists already")

// sqliteSchema is what PostfixAdmin 4.0.5 leaves on an empty SQLite file.
//
//go:embed schema/sqlite.sql
var sqliteSchema string

// sqliteExtras let look-ups of rows in mixed case use an index, and tell
// PostfixAdmin which release's schema this is.
const sqliteExtras = `
CREATE INDEX gomaild_domain ON domain (LOWER(domain));
CREATE INDEX gomaild_alias_domain ON alias_domain (LOWER(alias_domain));
CREATE INDEX gomaild_alias ON alias (LOWER(address));
CREATE INDEX gomaild_mailbox ON mailbox (LOWER(username));
INSERT INTO config (name, value) VALUES ('version', '1851');`

// CreateSchema makes PostfixAdmin's tables in an SQLite file that has none. It
// returns ErrExists if they are there. On MySQL, PostfixAdmin makes them.
func (db *DB) CreateSchema(ctx context.Context) error {
	if db.config.Driver != SQLite {
		return errors.New("postfixadmin: make the schema with PostfixAdmin itself on MySQL")
	}
	columns, err := db.tableColumns(ctx, "domain")
	if err != nil {
		return fmt.Errorf("postfixadmin: create schema: %w", err)
	}
	if columns != nil {
		return fmt.Errorf("postfixadmin: create schema: %w", ErrExists)
	}
	// Readers go on while PostfixAdmin or gomaild writes; it is a property of
	// the file, and it cannot be set inside a transaction.
	if _, err := db.sql.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return fmt.Errorf("postfixadmin: create schema: %w", err)
	}
	return db.change(ctx, "create schema", func(tx *tx) {
		for statement := range strings.SplitSeq(sqliteSchema+sqliteExtras, ";") {
			if strings.TrimSpace(statement) != "" {
				tx.exec(statement)
			}
		}
	})
}

// AddDomain makes an active domain with no limits. ErrExists if there is one,
// active or not.
func (db *DB) AddDomain(ctx context.Context, name string) error {
	domain, err := mail.ParseDomain(name)
	if err != nil {
		return fmt.Errorf("postfixadmin: add domain: %w", err)
	}
	if strings.HasPrefix(domain, "[") {
		return fmt.Errorf("postfixadmin: add domain %s: an address literal is no domain", domain)
	}
	return db.change(ctx, "add domain "+domain, func(tx *tx) {
		tx.refuseRow("domain", "domain", domain)
		tx.insert("domain", columns{
			{"domain", domain}, {"description", ""}, {"aliases", 0}, {"mailboxes", 0}, {"maxquota", 0}, {"quota", 0},
			{"transport", "virtual"}, {"backupmx", 0}, {"created", tx.now}, {"modified", tx.now}, {"active", 1},
		})
	})
}

// AddMailbox makes an active mailbox and its alias row, as PostfixAdmin does,
// but in one transaction. hash is the stored password with or without its
// {SCHEME}, name is the person's, quota is in octets (0 for none), maildir is
// relative and "" is PostfixAdmin's default "domain/address/". It returns
// ErrExists if the address has a row in either table, accounts.ErrNotFound if
// the domain has none.
func (db *DB) AddMailbox(ctx context.Context, a mail.Address, hash, name string, quota int64, maildir string) error {
	key, ok := keyOf(a)
	if !ok || a.Local == "" {
		return fmt.Errorf("postfixadmin: add mailbox %s: %w: only ASCII addresses can be mailboxes", a, mail.ErrSyntax)
	}
	if _, err := mail.ParseAddress(a.String()); err != nil {
		return fmt.Errorf("postfixadmin: add mailbox: %w", err)
	}
	s, err := db.probed(ctx)
	if err != nil {
		return wrap(err, "mailbox", key)
	}
	a = a.Fold()
	if maildir == "" {
		maildir = a.Domain + "/" + key + "/"
	}
	return db.change(ctx, "add mailbox "+key, func(tx *tx) {
		tx.needRow("domain", "domain", a.Domain)
		tx.refuseRow("mailbox", "username", key)
		tx.refuseRow("alias", "address", key)
		tx.insert("alias", columns{
			{"address", key}, {"goto", key}, {"domain", a.Domain}, {"created", tx.now}, {"modified", tx.now}, {"active", 1},
		})
		row := columns{
			{"username", key}, {"password", hash}, {"name", name}, {"maildir", maildir}, {"quota", quota},
			{"local_part", a.Local}, {"domain", a.Domain}, {"created", tx.now}, {"modified", tx.now}, {"active", 1},
		}
		if s.has("mailbox", "password_expiry") && s.has("domain", "password_expiry") {
			row = append(row, column{"password_expiry", tx.passwordExpiry(a.Domain)})
		}
		tx.insert("mailbox", row)
	})
}

// SetPassword stores a new password hash; accounts.ErrNotFound if there is no
// such mailbox, active or not.
func (db *DB) SetPassword(ctx context.Context, a mail.Address, hash string) error {
	key, ok := keyOf(a)
	if !ok {
		return accounts.ErrNotFound
	}
	return db.change(ctx, "set the password of "+key, func(tx *tx) {
		name := tx.needRow("mailbox", "username", key)
		tx.exec("UPDATE mailbox SET password = ?, modified = ? WHERE username = ?", hash, tx.now, name)
	})
}

// DeleteMailbox removes the rows that PostfixAdmin removes with a mailbox, and
// its app passwords, which would otherwise let the old owner into a new
// mailbox of the same name. Other aliases keep pointing at it and the Maildir
// stays. accounts.ErrNotFound if there is no such mailbox.
func (db *DB) DeleteMailbox(ctx context.Context, a mail.Address) error {
	key, ok := keyOf(a)
	if !ok {
		return accounts.ErrNotFound
	}
	s, err := db.probed(ctx)
	if err != nil {
		return wrap(err, "mailbox", key)
	}
	return db.change(ctx, "delete mailbox "+key, func(tx *tx) {
		tx.needRow("mailbox", "username", key)
		for _, t := range []struct{ table, column string }{
			{"fetchmail", "mailbox"},
			{"vacation_notification", "on_vacation"},
			{"vacation", "email"},
			{"quota", "username"},
			{"quota2", "username"},
			{"mailbox_app_password", "username"},
			{"alias", "address"},
			{"mailbox", "username"},
		} {
			if s.has(t.table, t.column) {
				tx.exec("DELETE FROM "+t.table+" WHERE LOWER("+t.column+") = ?", key)
			}
		}
	})
}

// Row is a mailbox as a list shows it.
type Row struct {
	accounts.Mailbox
	Name   string // the person's
	Active bool
}

// Mailboxes lists the mailboxes of a domain, active or not, in the order of
// their names; of all domains if domain is "". It is for people, not for mail.
func (db *DB) Mailboxes(ctx context.Context, domain string) ([]Row, error) {
	rows, err := db.sql.QueryContext(ctx, "SELECT username, name, maildir, quota, active FROM mailbox WHERE ? = '' OR LOWER(domain) = ? ORDER BY username",
		mail.FoldASCII(domain), mail.FoldASCII(domain))
	if err != nil {
		return nil, fmt.Errorf("postfixadmin: list mailboxes: %w", err)
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r := Row{Mailbox: accounts.Mailbox{MaySend: true}}
		var username string
		if err := rows.Scan(&username, &r.Name, &r.Maildir, &r.QuotaBytes, &r.Active); err != nil {
			return nil, fmt.Errorf("postfixadmin: list mailboxes: %w", err)
		}
		local, host, _ := cutDomain(username)
		r.Address = mail.Address{Local: mail.FoldASCII(local), Domain: mail.FoldASCII(host)}
		r.QuotaBytes = max(r.QuotaBytes, 0)
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("postfixadmin: list mailboxes: %w", err)
	}
	return list, nil
}

// change runs fn in a transaction and forgets cached answers. ErrNotFound and
// ErrExists of fn's steps are wrapped with what.
func (db *DB) change(ctx context.Context, what string, fn func(*tx)) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout)
	defer cancel()
	sqlTx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("postfixadmin: %s: %w", what, err)
	}
	defer sqlTx.Rollback() // after Commit it does nothing
	t := &tx{ctx: ctx, sql: sqlTx, now: time.Now().Format(time.DateTime)}
	fn(t)
	if t.err == nil {
		t.err = sqlTx.Commit()
	}
	db.cache.forget()
	if t.err != nil {
		db.unprobe(t.err)
		return fmt.Errorf("postfixadmin: %s: %w", what, t.err)
	}
	return nil
}

// tx is a transaction that remembers the first error, so that its steps read
// as a list. It lives within one change, which is why it holds a context.
type tx struct {
	ctx context.Context
	sql *sql.Tx
	now string // as PostfixAdmin writes times: local, without a zone
	err error
}

type column struct {
	name  string
	value any
}

type columns []column

func (t *tx) exec(statement string, args ...any) {
	if t.err == nil {
		_, t.err = t.sql.ExecContext(t.ctx, statement, args...)
	}
}

func (t *tx) insert(table string, row columns) {
	var names, marks []string
	var values []any
	for _, c := range row {
		names = append(names, c.name)
		marks = append(marks, "?")
		values = append(values, c.value)
	}
	t.exec("INSERT INTO "+quoteTable(table)+" ("+quoteNames(names)+") VALUES ("+strings.Join(marks, ", ")+")", values...)
}

// quoteNames writes names as both engines take them; goto is a reserved word
// on MySQL.
func quoteNames(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

func quoteTable(name string) string { return "`" + name + "`" }

// rowName is the stored name of the row of key, "" if there is none.
func (t *tx) rowName(table, column, key string) string {
	if t.err != nil {
		return ""
	}
	var name string
	err := t.sql.QueryRowContext(t.ctx, "SELECT "+column+" FROM "+table+" WHERE LOWER("+column+") = ? LIMIT 1", key).Scan(&name)
	if !errors.Is(err, sql.ErrNoRows) {
		t.err = err
	}
	return name
}

func (t *tx) refuseRow(table, column, key string) {
	if t.rowName(table, column, key) != "" && t.err == nil {
		t.err = fmt.Errorf("table %s: %w", table, ErrExists)
	}
}

func (t *tx) needRow(table, column, key string) string {
	name := t.rowName(table, column, key)
	if name == "" && t.err == nil {
		t.err = fmt.Errorf("table %s: %w", table, accounts.ErrNotFound)
	}
	return name
}

// passwordExpiry is when a new password of the domain expires: as many days
// from now as domain.password_expiry says, and that is 365 when it says
// nothing, as in PostfixAdmin's own form. Mail does not look at it.
func (t *tx) passwordExpiry(domain string) string {
	days := sql.NullInt64{}
	if t.err == nil {
		t.err = t.sql.QueryRowContext(t.ctx, "SELECT password_expiry FROM domain WHERE LOWER(domain) = ? LIMIT 1", domain).Scan(&days)
	}
	if days.Int64 <= 0 {
		days.Int64 = 365
	}
	return time.Now().AddDate(0, 0, int(days.Int64)).Format(time.DateTime)
}
