package postfixadmin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/mail"
)

// newFile is a new SQLite file, with a name that URIs would trip over.
func newFile(t *testing.T) *DB {
	t.Helper()
	return open(t, Config{Driver: SQLite, Path: filepath.Join(t.TempDir(), "a?mode=ro&b%23 c.db"), Create: true})
}

func TestCreateSchema(t *testing.T) {
	t.Parallel()
	db := newFile(t)
	found, err := db.Check(t.Context())
	if err != nil || len(found) < 3 || !found[0].Fatal {
		t.Errorf("Check of an empty file: %v, %v", found, err)
	}
	if err := db.CreateSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := db.Check(t.Context()); err != nil || found != nil {
		t.Errorf("Check of the new schema: %v, %v", found, err)
	}
	var version string
	if err := db.sql.QueryRowContext(t.Context(), "SELECT value FROM config WHERE name = 'version'").Scan(&version); err != nil || version != "1851" {
		t.Errorf("config.version is %q, %v", version, err)
	}
	if err := db.CreateSchema(t.Context()); !errors.Is(err, ErrExists) {
		t.Errorf("a second time: %v", err)
	}
}

// TestSQLiteMissing: without Create a missing file is no empty database.
func TestSQLiteMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.db")
	db := open(t, Config{Driver: SQLite, Path: path})
	if _, err := db.Mailbox(t.Context(), alice); err == nil || errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a missing file answers %v", err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("a missing file answers a ping")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}

// TestCheck says of each release what it lacks, and never that it is unusable.
func TestCheck(t *testing.T) {
	t.Parallel()
	lacks := map[string]string{
		"mysql-2.3.7": "smtp_active password_hash password_expiry dkim_id activefrom",
		"mysql-2.91":  "smtp_active password_hash password_expiry dkim_id", "mysql-3.1": "smtp_active password_hash password_expiry dkim_id",
		"mysql-3.2": "smtp_active password_hash password_expiry dkim_id", "mysql-3.3.0": "smtp_active password_hash dkim_id", "mysql-3.3.13": "smtp_active password_hash dkim_id",
		"sqlite-3.3.13": "smtp_active password_hash dkim_id",
	}
	for name, c := range emptyDatabases(t) {
		found, err := open(t, c).Check(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, f := range found {
			column, _, _ := strings.Cut(f.Text, " ")
			got = append(got, column[strings.Index(column, ".")+1:])
			if f.Fatal {
				t.Errorf("%s: %s", name, f.Text)
			}
		}
		if s := strings.Join(got, " "); s != lacks[name] {
			t.Errorf("%s lacks %q, want %q", name, s, lacks[name])
		}
	}
}

// TestAdmin makes, changes and deletes accounts on every schema.
func TestAdmin(t *testing.T) {
	t.Parallel()
	for name, c := range emptyDatabases(t) {
		t.Run(name, func(t *testing.T) {
			db := open(t, c)
			t.Run("add", func(t *testing.T) { addAccounts(t, db) })
			t.Run("list", func(t *testing.T) { listAccounts(t, db) })
			t.Run("password", func(t *testing.T) { changePassword(t, db) })
			t.Run("delete", func(t *testing.T) { deleteAccount(t, db) })
		})
	}
}

func addAccounts(t *testing.T, db *DB) {
	ctx := t.Context()
	if err := db.AddMailbox(ctx, alice, "x", "", 0, ""); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a mailbox without its domain: %v", err)
	}
	if err := db.AddDomain(ctx, "Example.COM"); err != nil {
		t.Fatal(err)
	}
	if err := db.AddDomain(ctx, "example.com."); !errors.Is(err, ErrExists) {
		t.Errorf("a second domain of the name: %v", err)
	}
	for _, bad := range []string{"", "a b", "[127.0.0.1]", "-x.test"} {
		if err := db.AddDomain(ctx, bad); err == nil {
			t.Errorf("domain %q was made", bad)
		}
	}
	if err := db.AddMailbox(ctx, addr("Alice", "example.com"), "{PLAIN}a", "Алиса Ångström", 1<<40, ""); err != nil {
		t.Fatal(err)
	}
	if err := db.AddMailbox(ctx, addr("bob+x", "example.com"), "{PLAIN}b", "", 0, "b/"); err != nil {
		t.Fatal(err)
	}
	if err := db.AddMailbox(ctx, addr("ALICE", "example.com"), "x", "", 0, ""); !errors.Is(err, ErrExists) {
		t.Errorf("a second mailbox of the name: %v", err)
	}
	for _, bad := range []mail.Address{addr("", "example.com"), addr("é", "example.com"), addr("a\nb", "example.com"), addr("a", "")} {
		if err := db.AddMailbox(ctx, bad, "x", "", 0, ""); !errors.Is(err, mail.ErrSyntax) {
			t.Errorf("mailbox %q: %v", bad, err)
		}
	}
	insert(t, db, "alias", columns{{"address", "list@example.com"}, {"goto", "alice@example.com"}, {"domain", "example.com"}})
	if err := db.AddMailbox(ctx, addr("list", "example.com"), "x", "", 0, ""); !errors.Is(err, ErrExists) {
		t.Errorf("a mailbox over an alias: %v", err)
	}
}

func listAccounts(t *testing.T, db *DB) {
	want := []Row{
		{Mailbox: accounts.Mailbox{Address: alice, Maildir: "example.com/alice@example.com/", QuotaBytes: 1 << 40, MaySend: true}, Name: "Алиса Ångström", Active: true},
		{Mailbox: accounts.Mailbox{Address: addr("bob+x", "example.com"), Maildir: "b/", MaySend: true}, Active: true},
	}
	for _, domain := range []string{"", "Example.com"} {
		if got, err := db.Mailboxes(t.Context(), domain); err != nil || !slices.Equal(got, want) {
			t.Errorf("Mailboxes(%q) = %+v, %v; want %+v", domain, got, err, want)
		}
	}
	if got, err := db.Mailboxes(t.Context(), "else.test"); err != nil || got != nil {
		t.Errorf("another domain's: %v, %v", got, err)
	}
	if to, err := db.Alias(t.Context(), alice); err != nil || !slices.Equal(to, []mail.Address{alice}) {
		t.Errorf("the alias row that comes with a mailbox leads to %v, %v", to, err)
	}
}

func changePassword(t *testing.T, db *DB) {
	for _, hash := range []string{"{PLAIN}new", "{PLAIN}new", "$1$x$y"} { // the same again is no error
		if err := db.SetPassword(t.Context(), addr("ALICE", "example.com"), hash); err != nil {
			t.Error(err)
		}
		m, got, err := db.Passwords(t.Context(), alice)
		if err != nil || !slices.Equal(got, []string{hash}) || m.Address != alice {
			t.Errorf("Passwords = %v, %q, %v; want %q at once", m, got, err, hash)
		}
	}
	for _, a := range []mail.Address{addr("nobody", "example.com"), addr("é", "example.com")} {
		if err := db.SetPassword(t.Context(), a, "x"); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("SetPassword(%s): %v", a, err)
		}
		if _, _, err := db.Passwords(t.Context(), a); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("Passwords(%s): %v", a, err)
		}
	}
}

func deleteAccount(t *testing.T, db *DB) {
	insert(t, db, "vacation", columns{{"email", "alice@example.com"}, {"subject", "s"}, {"body", "b"}, {"cache", ""}, {"domain", "example.com"}})
	insert(t, db, "vacation_notification", columns{{"on_vacation", "alice@example.com"}, {"notified", "x@y.test"}})
	insert(t, db, "quota2", columns{{"username", "alice@example.com"}, {"bytes", 1}})
	s, err := db.probed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"vacation", "vacation_notification", "quota2"}
	if s.has("mailbox_app_password", "username") {
		insert(t, db, "mailbox_app_password", columns{{"username", "alice@example.com"}, {"password_hash", "x"}})
		tables = append(tables, "mailbox_app_password")
	}
	if err := db.DeleteMailbox(t.Context(), addr("Alice", "example.com")); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if n := count(t, db, table); n != 0 {
			t.Errorf("%d rows stay in %s", n, table)
		}
	}
	if n := count(t, db, "mailbox"); n != 1 {
		t.Errorf("%d mailboxes are left, want bob's", n)
	}
	if n := count(t, db, "alias"); n != 2 {
		t.Errorf("%d aliases are left, want bob's and the list that led to alice", n)
	}
	if err := db.DeleteMailbox(t.Context(), alice); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := db.Mailbox(t.Context(), alice); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a deleted mailbox answers %v", err)
	}
}

func count(t *testing.T, db *DB, table string) int {
	t.Helper()
	var n int
	if err := db.sql.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestChangeIsWhole: a change that fails half way leaves nothing, unlike the
// alias row that PostfixAdmin leaves when a mailbox cannot be made.
func TestChangeIsWhole(t *testing.T) {
	t.Parallel()
	db := newFile(t)
	if err := errors.Join(db.CreateSchema(t.Context()), db.AddDomain(t.Context(), "example.com")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.sql.ExecContext(t.Context(), "CREATE TRIGGER no BEFORE INSERT ON mailbox BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
		t.Fatal(err)
	}
	if err := db.AddMailbox(t.Context(), alice, "x", "", 0, ""); err == nil {
		t.Error("the trigger did not fire")
	}
	if n := count(t, db, "alias"); n != 0 {
		t.Errorf("%d alias rows stay", n)
	}
}

// TestAppPasswords: they count where the table is there and the switch is on.
func TestAppPasswords(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	for name, c := range map[string]Config{
		"sqlite-4.0.5":  {Driver: SQLite, Path: fixture.SQLite(t, "4.0.5")},
		"mysql-4.0.5":   onMySQL(s, fixture.MySQL(t, s, "4.0.5")),
		"sqlite-3.3.13": {Driver: SQLite, Path: fixture.SQLite(t, "3.3.13")},
	} {
		t.Run(name, func(t *testing.T) {
			c.AppPasswords = true
			on, own := open(t, c), "$1$c9809462$oJJwPzRCdfIa54v6aNSAZ1"
			c.AppPasswords = false
			off, want := open(t, c), []string{own}
			if strings.HasSuffix(name, "4.0.5") {
				addAppPasswords(t, on)
				want = []string{own, "{PLAIN}one", "{PLAIN}two"}
			}
			if _, got, err := on.Passwords(t.Context(), alice); err != nil || !slices.Equal(got, want) {
				t.Errorf("switched on: %q, %v; want %q", got, err, want)
			}
			if _, got, err := off.Passwords(t.Context(), alice); err != nil || !slices.Equal(got, []string{own}) {
				t.Errorf("switched off: %q, %v", got, err)
			}
		})
	}
}

func addAppPasswords(t *testing.T, db *DB) {
	t.Helper()
	for _, row := range []struct{ username, hash any }{
		{"alice@example.com", "{PLAIN}one"}, {"alice@example.com", nil}, {"alice@example.com", ""}, {"alice@example.com", "{PLAIN}two"},
		{"àlice@example.com", "{PLAIN}accent"}, {nil, "{PLAIN}everybody"}, {"bob@example.com", "{PLAIN}bob"},
	} {
		insert(t, db, "mailbox_app_password", columns{{"username", row.username}, {"password_hash", row.hash}})
	}
}

// TestAppPasswordLimit: one login never costs more than maxAppPasswords hashes
// beside its own.
func TestAppPasswordLimit(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: SQLite, Path: fixture.SQLite(t, "4.0.5"), AppPasswords: true})
	for i := range maxAppPasswords + 4 {
		insert(t, db, "mailbox_app_password", columns{{"username", "alice@example.com"}, {"password_hash", fmt.Sprint(i)}})
	}
	if _, got, err := db.Passwords(t.Context(), alice); err != nil || len(got) != maxAppPasswords+1 {
		t.Errorf("%d passwords, %v", len(got), err)
	}
}

// TestMaySend: smtp_active takes away sending where the column is there.
func TestMaySend(t *testing.T) {
	t.Parallel()
	path := fixture.SQLite(t, "4.0.5")
	fixture.ExecSQLite(t, path, "UPDATE mailbox SET smtp_active = 0 WHERE username = 'alice@example.com'")
	db := open(t, Config{Driver: SQLite, Path: path})
	for a, want := range map[mail.Address]bool{alice: false, bob: true} {
		if m, err := db.Mailbox(t.Context(), a); err != nil || m.MaySend != want {
			t.Errorf("%s: %v, %v", a, m.MaySend, err)
		}
	}
}

// TestSchemaUpgrade: a table that vanishes and comes back, with other columns,
// is noticed without a restart.
func TestSchemaUpgrade(t *testing.T) {
	t.Parallel()
	path := fixture.SQLite(t, "4.0.5")
	db := open(t, Config{Driver: SQLite, Path: path, CacheTTL: -1})
	if _, err := db.Mailbox(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	fixture.ExecSQLite(t, path, "ALTER TABLE mailbox DROP COLUMN smtp_active")
	if _, err := db.Mailbox(t.Context(), alice); err == nil || errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a column that is gone: %v", err)
	}
	if m, err := db.Mailbox(context.WithoutCancel(t.Context()), alice); err != nil || !m.MaySend {
		t.Errorf("asked again: %+v, %v", m, err)
	}
}
