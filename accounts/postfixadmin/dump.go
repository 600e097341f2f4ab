package postfixadmin

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gomaild/accounts"
	"gomaild/mail"
)

// Dump is every active row, as the look-ups would answer. It reads whole
// tables and is bounded by ctx alone; its error is a fault.
func (db *DB) Dump(ctx context.Context) (accounts.Dump, error) {
	var d accounts.Dump
	s, err := db.probed(ctx)
	if err != nil {
		return d, err
	}
	for _, step := range []func(context.Context, *schema, *accounts.Dump) error{db.dumpDomains, db.dumpMailboxes, db.dumpAliases, db.dumpSigningKeys} {
		if err := step(ctx, s, &d); err != nil {
			db.unprobe(err)
			return d, fmt.Errorf("postfixadmin: dump: %w", err)
		}
	}
	return d, nil
}

// each runs a SELECT and calls row for each row, after scanning it into into.
func (db *DB) each(ctx context.Context, statement string, into []any, row func()) error {
	rows, err := db.sql.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row()
	}
	return rows.Err()
}

// dumpSigningKeys leaves an empty list where there are none.
func (db *DB) dumpSigningKeys(ctx context.Context, s *schema, d *accounts.Dump) error {
	if !db.config.SigningKeys {
		return nil
	}
	all, err := db.signingKeys(ctx, s)
	d.SigningKeys = append([]accounts.SigningKey{}, all...)
	return err
}

// dumpDomains joins the two tables as askDomain does.
func (db *DB) dumpDomains(ctx context.Context, s *schema, d *accounts.Dump) error {
	targets := map[string]string{}
	if s.has("alias_domain", "target_domain") {
		statement := "SELECT alias_domain, target_domain FROM alias_domain"
		if !db.config.Deployed {
			statement += " WHERE active = 1"
		}
		var name, target string
		err := db.each(ctx, statement, []any{&name, &target}, func() { targets[mail.FoldASCII(name)] = mail.FoldASCII(target) })
		if err != nil {
			return err
		}
	}
	statement := "SELECT domain, transport, backupmx FROM domain WHERE "
	if db.config.Deployed {
		statement += "(active = 1 OR backupmx = 1)"
	} else {
		statement += "active = 1"
	}
	var name, transport string
	var backup bool
	err := db.each(ctx, statement, []any{&name, &transport, &backup}, func() {
		one := accounts.Domain{Name: mail.FoldASCII(name), Class: accounts.Hosted, Transport: transport}
		target, isAlias := targets[one.Name]
		delete(targets, one.Name)
		switch {
		case backup:
			one.Class = accounts.Relay
		case isAlias:
			one.Class, one.Target = accounts.AliasOf, target
		}
		addDomain(d, one)
	})
	if err != nil || !db.config.Deployed {
		return err
	}
	for name, target := range targets {
		addDomain(d, accounts.Domain{Name: name, Class: accounts.StrayAlias, Target: target})
	}
	return nil
}

func (db *DB) dumpMailboxes(ctx context.Context, s *schema, d *accounts.Dump) error {
	apps, err := db.dumpAppPasswords(ctx, s)
	if err != nil {
		return err
	}
	statement := "SELECT username, password, maildir, quota"
	var name, password string
	var m accounts.Mailbox
	into := []any{&name, &password, &m.Maildir, &m.QuotaBytes}
	m.MaySend = true
	if s.has("mailbox", "smtp_active") {
		statement += ", smtp_active"
		into = append(into, &m.MaySend)
	}
	return db.each(ctx, statement+" FROM mailbox WHERE active = 1", into, func() {
		address, ok := addressOf(name)
		if !ok || address.Local == "" {
			return
		}
		one := m
		one.Address, one.QuotaBytes = address, max(m.QuotaBytes, 0)
		d.Mailboxes = append(d.Mailboxes, accounts.Credentials{Mailbox: one, Passwords: append([]string{password}, apps[address]...)})
	})
}

func (db *DB) dumpAppPasswords(ctx context.Context, s *schema) (map[mail.Address][]string, error) {
	apps := map[mail.Address][]string{}
	if !db.config.AppPasswords || !s.has("mailbox_app_password", "password_hash") {
		return apps, nil
	}
	var name, hash sql.NullString
	err := db.each(ctx, "SELECT username, password_hash FROM mailbox_app_password ORDER BY id", []any{&name, &hash}, func() {
		a, ok := addressOf(name.String)
		if ok && hash.String != "" && len(apps[a]) < maxAppPasswords {
			apps[a] = append(apps[a], hash.String)
		}
	})
	return apps, err
}

func (db *DB) dumpAliases(ctx context.Context, _ *schema, d *accounts.Dump) error {
	var name string
	var list sql.NullString
	return db.each(ctx, "SELECT address, `goto` FROM alias WHERE active = 1", []any{&name, &list}, func() {
		address, ok := addressOf(name)
		to, _ := parseGoto(list.String) // what is refused is told when it is looked up
		if ok && len(to) > 0 {
			d.Aliases = append(d.Aliases, accounts.Alias{Address: address, To: to})
		}
	})
}

// addressOf is a stored name as look-ups know it: ASCII, folded.
func addressOf(name string) (mail.Address, bool) {
	i := strings.LastIndexByte(name, '@')
	if i < 0 || i == len(name)-1 || !isASCII(name) {
		return mail.Address{}, false
	}
	return mail.Address{Local: mail.FoldASCII(name[:i]), Domain: mail.FoldASCII(name[i+1:])}, true
}

// Version changes when rows were added, removed or edited: their number and the
// time of the last change in each table that Dump reads. Two edits in one
// second may look like one.
func (db *DB) Version(ctx context.Context) (string, error) {
	s, err := db.probed(ctx)
	if err != nil {
		return "", err
	}
	var parts []string
	tables := []string{"domain", "alias_domain", "mailbox", "alias", "mailbox_app_password"}
	if db.config.SigningKeys {
		tables = append(tables, "dkim", "dkim_signing")
	}
	for _, table := range tables {
		newest := "modified"
		if !s.has(table, newest) {
			newest = "id"
		}
		if !s.has(table, newest) {
			continue
		}
		var count, last sql.NullString
		err := db.retry(ctx, func(ctx context.Context) error {
			return db.sql.QueryRowContext(ctx, "SELECT COUNT(*), MAX("+newest+") FROM "+table).Scan(&count, &last)
		})
		if err != nil {
			db.unprobe(err)
			return "", fmt.Errorf("postfixadmin: version of %s: %w", table, err)
		}
		parts = append(parts, table+" "+count.String+" "+last.String)
	}
	return strings.Join(parts, "; "), nil
}

func addDomain(d *accounts.Dump, one accounts.Domain) {
	if one.Name != "" && isASCII(one.Name) {
		d.Domains = append(d.Domains, one)
	}
}
