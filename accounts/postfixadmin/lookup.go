package postfixadmin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"gomaild/accounts"
	"gomaild/mail"
)

// Domain is the active domain of that name (accounts.Lookup).
func (db *DB) Domain(ctx context.Context, name string) (accounts.Domain, error) {
	key := mail.FoldASCII(name)
	if key == "" || !isASCII(key) {
		return accounts.Domain{}, accounts.ErrNotFound
	}
	d, err := cached(ctx, db.base, db.cache, "domain "+key, func(ctx context.Context) (accounts.Domain, error) {
		return db.askDomain(ctx, key)
	})
	return d, wrap(err, "domain", key)
}

// askDomain joins what the two tables say. Only a domain that is ours by a row
// in domain counts; alias_domain then says that it is another's second name.
func (db *DB) askDomain(ctx context.Context, key string) (accounts.Domain, error) {
	s, err := db.probed(ctx)
	if err != nil {
		return accounts.Domain{}, err
	}
	d, err := db.domainRow(ctx, key)
	stray := errors.Is(err, accounts.ErrNotFound)
	if err != nil && !(stray && db.config.Deployed) {
		return accounts.Domain{}, err
	}
	if d.Class == accounts.Relay || !s.has("alias_domain", "target_domain") {
		return d, err
	}
	target, err := db.aliasTarget(ctx, key)
	switch {
	case errors.Is(err, accounts.ErrNotFound) && !stray:
		return d, nil
	case err != nil:
		return accounts.Domain{}, err
	}
	d.Name, d.Class, d.Target = key, accounts.AliasOf, target
	if stray {
		d.Class = accounts.StrayAlias
	}
	return d, nil
}

func (db *DB) domainRow(ctx context.Context, key string) (accounts.Domain, error) {
	r := row{columns: "domain, transport, backupmx", from: "domain", name: "domain", only: "active = 1"}
	if db.config.Deployed {
		r.only = "(active = 1 OR backupmx = 1)"
	}
	var name, transport string
	var backup bool
	if err := db.find(ctx, r, key, &name, &transport, &backup); err != nil {
		return accounts.Domain{}, err
	}
	d := accounts.Domain{Name: key, Class: accounts.Hosted, Transport: transport}
	if backup {
		d.Class = accounts.Relay
	}
	return d, nil
}

func (db *DB) aliasTarget(ctx context.Context, key string) (string, error) {
	r := row{columns: "alias_domain, target_domain", from: "alias_domain", name: "alias_domain", only: "active = 1"}
	if db.config.Deployed {
		r.only = ""
	}
	var name, target string
	err := db.find(ctx, r, key, &name, &target)
	return mail.FoldASCII(target), err
}

// Mailbox is the active mailbox of exactly that address (accounts.Lookup).
func (db *DB) Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error) {
	key, ok := keyOf(a)
	if !ok || a.Local == "" {
		return accounts.Mailbox{}, accounts.ErrNotFound
	}
	m, err := cached(ctx, db.base, db.cache, "mailbox "+key, func(ctx context.Context) (accounts.Mailbox, error) {
		m, _, err := db.askMailbox(ctx, a.Fold(), key)
		return m, err
	})
	return m, wrap(err, "mailbox", key)
}

// askMailbox is the mailbox with its stored password.
func (db *DB) askMailbox(ctx context.Context, a mail.Address, key string) (accounts.Mailbox, string, error) {
	s, err := db.probed(ctx)
	if err != nil {
		return accounts.Mailbox{}, "", err
	}
	m := accounts.Mailbox{Address: a, MaySend: true}
	r := row{columns: "username, password, maildir, quota", from: "mailbox", name: "username", only: "active = 1"}
	var name, password string
	into := []any{&password, &m.Maildir, &m.QuotaBytes}
	if s.has("mailbox", "smtp_active") {
		r.columns += ", smtp_active"
		into = append(into, &m.MaySend)
	}
	if err := db.find(ctx, r, key, &name, into...); err != nil {
		return accounts.Mailbox{}, "", err
	}
	// -1 is what the form stores for "disabled", and no limit is all that mail
	// can make of it.
	m.QuotaBytes = max(m.QuotaBytes, 0)
	return m, password, nil
}

// Alias is where the active row of exactly that address leads
// (accounts.Lookup). A row without any entry is no row.
func (db *DB) Alias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	key, ok := keyOf(a)
	if !ok {
		return nil, accounts.ErrNotFound
	}
	list, err := cached(ctx, db.base, db.cache, "alias "+key, func(ctx context.Context) ([]mail.Address, error) {
		return db.askAlias(ctx, key)
	})
	return list, wrap(err, "alias", key)
}

func (db *DB) askAlias(ctx context.Context, key string) ([]mail.Address, error) {
	r := row{columns: "address, `goto`", from: "alias", name: "address", only: "active = 1"}
	var name string
	var list sql.NullString
	if err := db.find(ctx, r, key, &name, &list); err != nil {
		return nil, err
	}
	to, refused := parseGoto(list.String)
	if len(refused) > 0 {
		db.log.Warn("alias row with entries that are no addresses", "alias", key, "entries", refused)
	}
	if len(to) == 0 {
		return nil, accounts.ErrNotFound
	}
	return to, nil
}

// maxAppPasswords bounds what one login can cost: each is a hash to verify.
const maxAppPasswords = 16

// Passwords is the active mailbox of that address and its stored passwords:
// that of the mailbox first, then app passwords where the table exists and
// Config.AppPasswords is set. It is never answered from the cache, so that a
// changed password is changed at once.
func (db *DB) Passwords(ctx context.Context, a mail.Address) (accounts.Mailbox, []string, error) {
	key, ok := keyOf(a)
	if !ok || a.Local == "" {
		return accounts.Mailbox{}, nil, accounts.ErrNotFound
	}
	m, password, err := db.askMailbox(ctx, a.Fold(), key)
	if err != nil {
		return accounts.Mailbox{}, nil, wrap(err, "password of", key)
	}
	apps, err := db.appPasswords(ctx, key)
	if err != nil {
		return accounts.Mailbox{}, nil, wrap(err, "app passwords of", key)
	}
	return m, append([]string{password}, apps...), nil
}

func (db *DB) appPasswords(ctx context.Context, key string) ([]string, error) {
	if !db.config.AppPasswords {
		return nil, nil
	}
	s, err := db.probed(ctx)
	if err != nil || !s.has("mailbox_app_password", "password_hash") {
		return nil, err
	}
	var hashes []string
	err = db.retry(ctx, func(ctx context.Context) error {
		hashes = nil
		rows, err := db.sql.QueryContext(ctx, "SELECT username, password_hash FROM mailbox_app_password WHERE username = ? ORDER BY id LIMIT ?", key, maxAppPasswords)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, hash sql.NullString
			if err := rows.Scan(&name, &hash); err != nil {
				return err
			}
			if sameName(name.String, key) && hash.String != "" {
				hashes = append(hashes, hash.String)
			}
		}
		return rows.Err()
	})
	db.unprobe(err)
	return hashes, err
}

// keyOf is the address as the tables write it: no quotes, ASCII letters in
// lower case, "@domain" for a catch-all. It is false for what cannot be there.
func keyOf(a mail.Address) (string, bool) {
	if a.Domain == "" || !isASCII(a.Local) || !isASCII(a.Domain) {
		return "", false
	}
	return mail.FoldASCII(a.Local) + "@" + mail.FoldASCII(a.Domain), true
}

// sameName compares as identity does: ASCII letters folded, and nothing else.
func sameName(stored, key string) bool { return mail.FoldASCII(stored) == key }

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// wrap leaves ErrNotFound bare, for it is an answer.
func wrap(err error, what, key string) error {
	if err == nil || errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	return fmt.Errorf("postfixadmin: look up %s %s: %w", what, key, err)
}
