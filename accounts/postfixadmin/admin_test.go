package postfixadmin

import (
	"path/filepath"
	"testing"

	"gomaild/mail"
)

func openSQLite(t *testing.T, c Config) *DB {
	t.Helper()
	c.Driver = SQLite
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "a?b%23.db")
		c.Create = true
	}
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

func TestThin(t *testing.T) {
	db := openSQLite(t, Config{})
	ctx := t.Context()
	for _, err := range []error{
		db.CreateSchema(ctx), db.AddDomain(ctx, "Example.Test"),
		db.AddMailbox(ctx, mail.Address{Local: "Alice", Domain: "example.test"}, "{PLAIN}x", "Alice", 0, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Log(db.Check(ctx))
	t.Log(db.Passwords(ctx, mail.Address{Local: "Alice", Domain: "example.test"}))
	t.Log(db.Domain(ctx, "example.test"))
	t.Log(db.Alias(ctx, mail.Address{Local: "Alice", Domain: "example.test"}))
	t.Log(db.Mailbox(ctx, mail.Address{Local: "Alic", Domain: "example.test"}))
	t.Log(db.Mailboxes(ctx, ""))
}
