package postfixadmin

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/accountstest"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/internal/mariadbtest"
	"gomaild/mail"
)

var mariadb mariadbtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	mariadb.Stop()
	os.Exit(code)
}

// open opens c and closes it with the test.
func open(t testing.TB, c Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func onMySQL(s *mariadbtest.Server, database string) Config {
	return Config{Driver: MySQL, Host: s.Host, Port: s.Port, User: "root", Database: database}
}

// emptyDatabases are all releases on both engines, with no rows.
func emptyDatabases(t *testing.T) map[string]Config {
	t.Helper()
	all := make(map[string]Config)
	for _, release := range fixture.SQLiteReleases() {
		all["sqlite-"+release] = Config{Driver: SQLite, Path: fixture.EmptySQLite(t, release)}
	}
	s := mariadb.Server(t)
	for _, release := range fixture.MySQLReleases() {
		all["mysql-"+release] = onMySQL(s, fixture.EmptyMySQL(t, s, release))
	}
	return all
}

// filledDatabases are the releases that hold the fixture's rows.
func filledDatabases(t *testing.T) map[string]Config {
	t.Helper()
	all := make(map[string]Config)
	s := mariadb.Server(t)
	for _, release := range []string{fixture.RowsRelease, "4.0.5", "master-1856"} {
		all["sqlite-"+release] = Config{Driver: SQLite, Path: fixture.SQLite(t, release)}
		all["mysql-"+release] = onMySQL(s, fixture.MySQL(t, s, release))
	}
	return all
}

// TestLookup runs the conformance suite on every schema of both engines, with
// the cache and without.
func TestLookup(t *testing.T) {
	t.Parallel()
	for name, c := range emptyDatabases(t) {
		for _, ttl := range []time.Duration{0, -1} {
			t.Run(fmt.Sprintf("%s-ttl=%v", name, ttl), func(t *testing.T) {
				c.CacheTTL = ttl
				accountstest.Test(t, func(t *testing.T, w accountstest.World) (accounts.Lookup, func(accountstest.World)) {
					db := open(t, c)
					empty(t, db)
					load(t, db, w)
					return db, func(w accountstest.World) { load(t, db, w) }
				})
			})
		}
	}
}

func empty(t *testing.T, db *DB) {
	t.Helper()
	for _, table := range []string{"domain", "alias", "alias_domain", "mailbox"} {
		if _, err := db.sql.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

// load writes rows as somebody else does: behind db's back.
func load(t *testing.T, db *DB, w accountstest.World) {
	t.Helper()
	for _, d := range w.Domains {
		insert(t, db, "domain", columns{
			{"domain", d.Name}, {"description", ""}, {"transport", d.Transport}, {"backupmx", d.Class == accounts.Relay}, {"active", !d.Inactive},
		})
		if d.Class == accounts.AliasOf {
			insert(t, db, "alias_domain", columns{{"alias_domain", d.Name}, {"target_domain", d.Target}, {"active", true}})
		}
	}
	for _, m := range w.Mailboxes {
		insert(t, db, "mailbox", columns{
			{"username", m.Address.Local + "@" + m.Address.Domain}, {"password", "x"}, {"name", ""}, {"maildir", m.Maildir},
			{"quota", m.QuotaBytes}, {"local_part", m.Address.Local}, {"domain", m.Address.Domain}, {"active", !m.Inactive},
		})
	}
	for _, a := range w.Aliases {
		insert(t, db, "alias", columns{
			{"address", a.Address.Local + "@" + a.Address.Domain}, {"goto", joined(a.To)}, {"domain", a.Address.Domain}, {"active", !a.Inactive},
		})
	}
}

func joined(list []mail.Address) string {
	var s []string
	for _, a := range list {
		s = append(s, a.String())
	}
	return strings.Join(s, ",")
}

func insert(t *testing.T, db *DB, table string, row columns) {
	t.Helper()
	sqlTx, err := db.sql.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	step := &tx{ctx: t.Context(), sql: sqlTx}
	step.insert(table, row)
	if step.err != nil {
		_ = sqlTx.Rollback()
		t.Fatal(step.err)
	}
	if err := sqlTx.Commit(); err != nil {
		t.Fatal(err)
	}
}
