package postfixadmin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gomaild/accounts"
	"gomaild/mail"
)

// usageBatch is how many rows one statement writes.
const usageBatch = 100

// WriteUsage writes what mailboxes hold, where PostfixAdmin shows it: to the
// table quota2, or with Config.OldQuotaTable to quota, which PostfixAdmin reads
// without new_quota_table. REPLACE is what both engines know. A database that has
// no such table is left alone.
func (db *DB) WriteUsage(ctx context.Context, all []accounts.Usage) error {
	s, err := db.probed(ctx)
	if err != nil {
		return wrap(err, "usage", "")
	}
	for len(all) > 0 {
		n := min(len(all), usageBatch)
		if s.has("quota2", "bytes") && !db.config.OldQuotaTable {
			err = db.writeQuota2(ctx, all[:n])
		}
		if len(s.columns["quota"]) > 0 && db.config.OldQuotaTable {
			err = db.writeQuota(ctx, all[:n])
		}
		if err != nil {
			db.unprobe(err)
			return fmt.Errorf("postfixadmin: write usage: %w", err)
		}
		all = all[n:]
	}
	return nil
}

func (db *DB) writeQuota2(ctx context.Context, all []accounts.Usage) error {
	var values []any
	for _, u := range all {
		values = append(values, usernameOf(u.Address), u.Bytes, u.Messages)
	}
	return db.replace(ctx, "REPLACE INTO quota2 (username, bytes, messages) VALUES ", "(?, ?, ?)", len(all), values)
}

func (db *DB) writeQuota(ctx context.Context, all []accounts.Usage) error {
	var values []any
	for _, u := range all {
		name := usernameOf(u.Address)
		values = append(values, name, "quota/storage", u.Bytes, name, "quota/messages", u.Messages)
	}
	return db.replace(ctx, "REPLACE INTO quota (username, path, current) VALUES ", "(?, ?, ?), (?, ?, ?)", len(all), values)
}

// replace writes rows of absolute values, so it may be run twice.
func (db *DB) replace(ctx context.Context, head, row string, rows int, values []any) error {
	statement := head + strings.TrimSuffix(strings.Repeat(row+", ", rows), ", ")
	return db.retry(ctx, func(ctx context.Context) error {
		_, err := db.sql.ExecContext(ctx, statement, values...)
		return err
	})
}

// usernameOf is the address as a row of mailbox spells it.
func usernameOf(a mail.Address) string { return a.Local + "@" + a.Domain }

// DomainUsage is what the mailboxes of a domain hold together, as far as it was
// written, and domain.quota, which counts in units of quotaUnit octets and of
// which 0 and less is no limit. accounts.ErrNotFound if there is no such domain.
func (db *DB) DomainUsage(ctx context.Context, name string, quotaUnit int64) (accounts.DomainUsage, error) {
	var u accounts.DomainUsage
	key := mail.FoldASCII(name)
	s, err := db.probed(ctx)
	if err != nil {
		return u, wrap(err, "domain", key)
	}
	var domain string
	r := row{columns: "domain, quota", from: "domain", name: "domain"}
	if err := db.find(ctx, r, key, &domain, &u.Max); err != nil {
		return u, wrap(err, "domain", key)
	}
	u.Max = max(u.Max, 0) * quotaUnit
	if u.Max == 0 {
		return u, nil
	}
	table, column, only := "quota2", "bytes", ""
	if db.config.OldQuotaTable {
		table, column, only = "quota", "current", " AND q.path = 'quota/storage'"
	}
	if len(s.columns[table]) == 0 {
		return u, nil
	}
	statement := "SELECT COALESCE(SUM(q." + column + "), 0) FROM " + table + " q, mailbox m WHERE q.username = m.username" + only + " AND LOWER(m.domain) = ?"
	err = db.retry(ctx, func(ctx context.Context) error {
		return db.sql.QueryRowContext(ctx, statement, key).Scan(&u.Bytes)
	})
	if err == nil {
		u.Unwritten, err = db.unwritten(ctx, table, only, key)
	}
	return u, wrap(err, "domain", key)
}

// maxUnwritten is how many mailboxes without a row one answer names.
const maxUnwritten = 100

// unwritten are mailboxes of a domain of which the table knows nothing.
func (db *DB) unwritten(ctx context.Context, table, only, domain string) (all []mail.Address, err error) {
	statement := "SELECT m.username FROM mailbox m WHERE LOWER(m.domain) = ? AND NOT EXISTS (SELECT 1 FROM " + table +
		" q WHERE q.username = m.username" + only + ") LIMIT " + strconv.Itoa(maxUnwritten)
	err = db.retry(ctx, func(ctx context.Context) error {
		all = nil
		rows, err := db.sql.QueryContext(ctx, statement, domain)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return errors.Join(err, rows.Close())
			}
			if at := strings.LastIndexByte(name, '@'); at > 0 {
				all = append(all, mail.Address{Local: name[:at], Domain: name[at+1:]})
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return all, err
}
