package postfixadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/mail"
)

// isFault reports an error that must never be read as "no such account".
func isFault(err error) bool {
	if err == nil || errors.Is(err, accounts.ErrNotFound) {
		return false
	}
	return mail.StatusOf(err).Temporary()
}

// throughProxy is the fixture on MySQL behind a proxy, with short patience and
// no cache.
func throughProxy(t *testing.T) (*DB, *proxy) {
	t.Helper()
	s := mariadb.Server(t)
	p := newProxy(t, s.Addr())
	c := onMySQL(s, fixture.MySQL(t, s, fixture.RowsRelease))
	c.Port = p.port()
	c.CacheTTL = -1
	c.LookupTimeout, c.ConnectTimeout, c.IOTimeout = 500*time.Millisecond, 200*time.Millisecond, 300*time.Millisecond
	db := open(t, c)
	// A machine under load may be slow; the first question is not the test.
	for range 20 {
		if _, err := db.Mailbox(t.Context(), alice); err == nil {
			return db, p
		}
	}
	t.Fatal("the database does not answer through the proxy")
	return nil, nil
}

// TestReset: connections that broke while they lay idle are nobody's trouble.
func TestReset(t *testing.T) {
	t.Parallel()
	db, p := throughProxy(t)
	for range 5 {
		p.reset()
		if _, err := db.Mailbox(t.Context(), alice); err != nil {
			t.Errorf("after a reset: %v", err)
		}
	}
}

// TestRetryOnce: a statement whose connection breaks is asked again, once.
func TestRetryOnce(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: SQLite, Path: fixture.SQLite(t, fixture.RowsRelease)})
	for _, tt := range []struct {
		rule  string
		errs  []error
		asked int
		fails bool
	}{
		{"broken once", []error{mysql.ErrInvalidConn, nil}, 2, false},
		{"broken twice", []error{mysql.ErrInvalidConn, mysql.ErrInvalidConn, nil}, 2, true},
		{"an answer is not asked for again", []error{&mysql.MySQLError{Number: 1047}, nil}, 1, true},
		{"nor is a time-out", []error{context.DeadlineExceeded, nil}, 1, true},
	} {
		asked := 0
		err := db.retry(t.Context(), func(context.Context) error {
			asked++
			return tt.errs[asked-1]
		})
		if asked != tt.asked || (err != nil) != tt.fails {
			t.Errorf("%s: asked %d times, %v", tt.rule, asked, err)
		}
	}
}

// TestRefused: no connection to be had is a fault, and passes.
func TestRefused(t *testing.T) {
	t.Parallel()
	db, p := throughProxy(t)
	p.refuse()
	p.reset()
	checkFaults(t, db)
}

// TestBlackHole: a network that swallows everything costs one look-up's
// patience, and is forgotten when it is mended.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	db, p := throughProxy(t)
	p.blackHole(true)
	start := time.Now()
	_, err := db.Mailbox(t.Context(), alice)
	if !isFault(err) {
		t.Errorf("swallowed: %v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("waited %v for a patience of %v", d, db.config.LookupTimeout)
	}
	p.blackHole(false)
	p.reset()
	if !eventually(func() bool { _, err := db.Mailbox(t.Context(), alice); return err == nil }) {
		t.Error("does not answer after the network was mended")
	}
}

// eventually gives a loaded machine some tries; each is bounded by the
// patience of the Config.
func eventually(works func() bool) bool {
	for range 20 {
		if works() {
			return true
		}
	}
	return false
}

// checkFaults asks every question and wants none answered with no.
func checkFaults(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	_, errD := db.Domain(ctx, "example.com")
	_, errM := db.Mailbox(ctx, addr("nobody", "example.com"))
	_, errA := db.Alias(ctx, addr("nobody", "example.com"))
	_, _, errP := db.Passwords(ctx, alice)
	_, errL := db.Mailboxes(ctx, "")
	_, errC := db.Check(ctx)
	for i, err := range []error{errD, errM, errA, errP, errL, errC, db.Ping(ctx), db.SetPassword(ctx, alice, "x")} {
		if !isFault(err) {
			t.Errorf("question %d: %v", i, err)
		}
	}
}

// TestServerErrors lets a real server say each error that the classification
// knows: a view in the place of the table signals it.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	name := fixture.MySQL(t, s, fixture.RowsRelease)
	s.Exec(t, name, `RENAME TABLE mailbox TO kept, alias TO kept_alias;
		CREATE FUNCTION down() RETURNS INT NOT DETERMINISTIC RETURN 1;
		CREATE VIEW mailbox AS SELECT * FROM kept WHERE down() = 1;
		CREATE VIEW alias AS SELECT * FROM kept_alias WHERE down() = 1`)
	c := onMySQL(s, name)
	c.CacheTTL = -1
	db := open(t, c)
	if _, err := db.Mailbox(t.Context(), alice); err != nil { // probes the schema
		t.Fatal(err)
	}
	for _, tt := range []struct {
		number   int
		state    string
		means    string
		operator bool
	}{
		{1040, "08004", "too many connections", false},
		{1044, "42000", "no right to the database", true},
		{1045, "28000", "our password is refused", true},
		{1047, "08S01", "Galera: not in the primary component", false},
		{1053, "08S01", "shutdown in progress", false},
		{1205, "HY000", "lock wait timeout", false},
		{1213, "40001", "deadlock", false},
		{1290, "HY000", "read only", false},
		{1317, "70100", "interrupted", false},
		{1836, "HY000", "read only mode", false},
		{9001, "HY000", "ProxySQL: no backend", false},
	} {
		s.Exec(t, name, fmt.Sprintf("CREATE OR REPLACE FUNCTION down() RETURNS INT NOT DETERMINISTIC BEGIN SIGNAL SQLSTATE '%s' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = 'down'; RETURN 1; END", tt.state, tt.number))
		_, errM := db.Mailbox(t.Context(), alice)
		_, errA := db.Alias(t.Context(), alice)
		_, _, errP := db.Passwords(t.Context(), alice)
		for _, err := range []error{errM, errA, errP} {
			my, _ := errors.AsType[*mysql.MySQLError](err)
			if !isFault(err) || my == nil || int(my.Number) != tt.number || NeedsOperator(err) != tt.operator {
				t.Errorf("%d, %s: %v, needs an operator: %v", tt.number, tt.means, err, NeedsOperator(err))
			}
		}
	}
}

// TestWrongCredentials are faults of ours, for an operator, not answers.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	good := onMySQL(s, fixture.MySQL(t, s, fixture.RowsRelease))
	password, database := good, good
	password.Password = "wrong"
	database.Database = "nothing_here"
	for _, c := range []Config{password, database} {
		db := open(t, c)
		checkFaults(t, db)
		if _, err := db.Mailbox(t.Context(), alice); !NeedsOperator(err) {
			t.Errorf("%v does not need an operator", err)
		}
	}
}

// TestNoTables: a database that is not PostfixAdmin's has no accounts to deny.
func TestNoTables(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	db := open(t, onMySQL(s, s.Database(t)))
	_, err := db.Mailbox(t.Context(), alice)
	if my, _ := errors.AsType[*mysql.MySQLError](err); !isFault(err) || !NeedsOperator(err) || my.Number != 1146 {
		t.Errorf("without tables: %v", err)
	}
	found, err := db.Check(t.Context())
	if err != nil || !slices.ContainsFunc(found, func(f Finding) bool { return f.Fatal && strings.Contains(f.Text, "alias") }) {
		t.Errorf("Check = %v, %v", found, err)
	}
}
