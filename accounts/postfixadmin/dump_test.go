package postfixadmin

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"gomaild/accounts"
	"gomaild/mail"
)

// TestDump holds that a dump says of each row what the look-ups say, on both
// engines and with the deployed answers too, and that it leaves none out.
func TestDump(t *testing.T) {
	t.Parallel()
	for name, c := range filledDatabases(t) {
		for _, deployed := range []bool{false, true} {
			c.Deployed, c.AppPasswords, c.CacheTTL = deployed, true, -1
			db := open(t, c)
			d, err := db.Dump(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if d.SigningKeys != nil {
				t.Errorf("%s: keys are dumped that nobody asked for", name)
			}
			if len(d.Domains) < 5 || len(d.Mailboxes) < 10 || len(d.Aliases) < 10 {
				t.Errorf("%s: %d domains, %d mailboxes, %d aliases", name, len(d.Domains), len(d.Mailboxes), len(d.Aliases))
			}
			for _, one := range d.Domains {
				if got, err := db.Domain(t.Context(), one.Name); err != nil || got != one {
					t.Errorf("%s: %+v, look-up %+v, %v", name, one, got, err)
				}
			}
			for _, one := range d.Mailboxes {
				if m, passwords, err := db.Passwords(t.Context(), one.Address); err != nil || m != one.Mailbox || !slices.Equal(passwords, one.Passwords) {
					t.Errorf("%s: %+v, look-up %+v %q, %v", name, one, m, passwords, err)
				}
			}
			for _, one := range d.Aliases {
				if to, err := db.Alias(t.Context(), one.Address); err != nil || !reflect.DeepEqual(to, one.To) {
					t.Errorf("%s: %+v, look-up %+v, %v", name, one, to, err)
				}
			}
			leavesNoneOut(t, db, d)
		}
	}
}

// leavesNoneOut asks for every name in the tables, active or not.
func leavesNoneOut(t *testing.T, db *DB, d accounts.Dump) {
	t.Helper()
	dumped := map[string]bool{}
	for _, one := range d.Mailboxes {
		dumped["mailbox "+one.Address.String()] = true
	}
	for _, one := range d.Aliases {
		dumped["alias "+one.Address.Local+"@"+one.Address.Domain] = true
	}
	for _, one := range d.Domains {
		dumped["domain "+one.Name] = true
	}
	var name string
	ask := func(what, statement string, found func() error) {
		err := db.each(t.Context(), statement, []any{&name}, func() {
			if err := found(); !errors.Is(err, accounts.ErrNotFound) && !dumped[what+" "+mail.FoldASCII(name)] {
				t.Errorf("%s %s is found (%v) and not in the dump", what, name, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask("mailbox", "SELECT username FROM mailbox", func() error {
		a, _ := addressOf(name)
		_, err := db.Mailbox(t.Context(), a)
		return err
	})
	ask("alias", "SELECT address FROM alias", func() error {
		a, _ := addressOf(name)
		_, err := db.Alias(t.Context(), a)
		return err
	})
	ask("domain", "SELECT domain FROM domain", func() error {
		_, err := db.Domain(t.Context(), name)
		return err
	})
}

// TestVersion holds that a change of each table shows.
func TestVersion(t *testing.T) {
	t.Parallel()
	for name, c := range filledDatabases(t) {
		db := open(t, c)
		seen := map[string]bool{}
		for _, change := range []string{
			"", "UPDATE mailbox SET modified = '2031-01-01 00:00:00' WHERE username = (SELECT u FROM (SELECT MIN(username) AS u FROM mailbox) AS x)",
			"DELETE FROM alias WHERE address = (SELECT a FROM (SELECT MIN(address) AS a FROM alias) AS x)", "UPDATE domain SET modified = '2031-01-01 00:00:00'",
		} {
			if change != "" {
				if _, err := db.sql.ExecContext(t.Context(), change); err != nil {
					t.Fatal(err)
				}
			}
			v, err := db.Version(t.Context())
			if err != nil || v == "" || seen[v] {
				t.Errorf("%s after %q: %q, %v", name, change, v, err)
			}
			again, err := db.Version(t.Context())
			if err != nil || again != v {
				t.Errorf("%s: %q without a change, %v", name, again, err)
			}
			seen[v] = true
		}
	}
}
