package postfixadmin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

// Vacation is the row of table vacation for exactly that address that is active
// now (accounts.Vacations). PostfixAdmin stores times without a zone, so "now" is
// the database's, as it is for PostfixAdmin's own program. In a schema without
// activefrom an active row has no end.
func (db *DB) Vacation(ctx context.Context, a mail.Address) (accounts.Vacation, error) {
	key, ok := keyOf(a)
	if !ok || a.Local == "" {
		return accounts.Vacation{}, accounts.ErrNotFound
	}
	v, err := db.askVacation(ctx, key)
	return v, wrap(err, "vacation", key)
}

func (db *DB) askVacation(ctx context.Context, key string) (accounts.Vacation, error) {
	s, err := db.probed(ctx)
	if err != nil {
		return accounts.Vacation{}, err
	}
	if !s.has("vacation", "body") {
		return accounts.Vacation{}, accounts.ErrNotFound
	}
	var v accounts.Vacation
	var name string
	r := row{columns: "email, subject, body", from: "vacation", name: "email", only: "active = 1"}
	into := []any{&v.Subject, &v.Body}
	seconds := int64(0)
	if s.has("vacation", "interval_time") {
		r.columns += ", interval_time"
		into = append(into, &seconds)
	}
	if s.has("vacation", "activefrom") {
		r.only += " AND activefrom <= " + db.now() + " AND activeuntil >= " + db.now()
	}
	var version []string
	for _, c := range []string{"created", "modified", "activefrom"} {
		if s.has("vacation", c) {
			r.columns += ", " + c
			version = append(version, "")
		}
	}
	for i := range version {
		into = append(into, &version[i])
	}
	if err := db.find(ctx, r, key, &name, into...); err != nil {
		return accounts.Vacation{}, err
	}
	v.Interval = time.Duration(min(max(seconds, 0), 10*365*86400)) * time.Second
	v.Version = strings.Join(version, " ")
	return v, nil
}

// now is the database's clock, in the zone that PostfixAdmin writes in: that of
// the server on MySQL, of the host where the file is SQLite.
func (db *DB) now() string {
	if db.config.Driver == SQLite {
		return "datetime('now', 'localtime')"
	}
	return "NOW()"
}

// Notified reports a row of vacation_notification that is within the interval
// (accounts.Vacations). PostfixAdmin deletes the rows when the vacation is set.
func (db *DB) Notified(ctx context.Context, a, sender mail.Address, v accounts.Vacation) (bool, error) {
	s, err := db.probed(ctx)
	key, ok := keyOf(a)
	if err != nil || !ok || !s.has("vacation_notification", "notified_at") {
		return false, wrap(err, "vacation notification", key)
	}
	statement := "SELECT 1 FROM vacation_notification WHERE on_vacation = ? AND notified = ?"
	args := []any{key, mail.FoldASCII(sender.String())}
	if v.Interval > 0 {
		statement += " AND " + db.age() + " < ?"
		args = append(args, int64(v.Interval/time.Second))
	}
	var found int
	err = db.retry(ctx, func(ctx context.Context) error {
		return db.sql.QueryRowContext(ctx, statement+" LIMIT 1", args...).Scan(&found)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		db.unprobe(err)
		return false, fmt.Errorf("postfixadmin: look up vacation notification of %s: %w", key, err)
	}
	return true, nil
}

// age is how many seconds ago notified_at was.
func (db *DB) age() string {
	if db.config.Driver == SQLite {
		return "(strftime('%s', 'now', 'localtime') - strftime('%s', notified_at))"
	}
	return "TIMESTAMPDIFF(SECOND, notified_at, NOW())"
}
