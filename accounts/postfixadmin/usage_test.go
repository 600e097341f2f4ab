package postfixadmin

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/mail"
)

// TestWriteUsage writes usage into every schema of both engines, and reads the
// sum of a domain.
func TestWriteUsage(t *testing.T) {
	t.Parallel()
	for name, c := range emptyDatabases(t) {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-old=%v", name, old), func(t *testing.T) {
				c.OldQuotaTable = old
				db := open(t, c)
				empty(t, db)
				testWriteUsage(t, db)
			})
		}
	}
}

func testWriteUsage(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	table, bytes := "quota2", "SELECT bytes FROM quota2 WHERE username = ?"
	if db.config.OldQuotaTable {
		table, bytes = "quota", "SELECT current FROM quota WHERE path = 'quota/storage' AND username = ?"
	}
	if _, err := db.sql.ExecContext(ctx, "DELETE FROM "+table); err != nil {
		t.Fatal(err)
	}
	insert(t, db, "domain", columns{{"domain", "x.test"}, {"description", ""}, {"transport", "virtual"}, {"quota", 10}, {"active", true}})
	insert(t, db, "domain", columns{{"domain", "free.test"}, {"description", ""}, {"transport", "virtual"}, {"quota", -1}, {"active", true}})
	var all []accounts.Usage
	for i := range int64(usageBatch + 5) {
		a := mail.Address{Local: fmt.Sprintf("user%d", i), Domain: "x.test"}
		all = append(all, accounts.Usage{Address: a, Bytes: 1000 * i, Messages: i})
		if i < 3 {
			insert(t, db, "mailbox", columns{
				{"username", a.String()}, {"password", "x"}, {"name", ""}, {"maildir", ""}, {"quota", 0}, {"local_part", a.Local}, {"domain", "x.test"}, {"active", true},
			})
		}
	}
	for range 2 { // the second time over what is there
		if err := db.WriteUsage(ctx, all); err != nil {
			t.Fatal(err)
		}
		all[2].Bytes = 5000
	}
	var got, rows int64
	if err := db.sql.QueryRowContext(ctx, bytes, "user2@x.test").Scan(&got); err != nil || got != 5000 {
		t.Errorf("%d, %v", got, err)
	}
	if err := db.sql.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil || rows != int64(len(all)) && rows != 2*int64(len(all)) {
		t.Errorf("%d rows, %v", rows, err)
	}
	sum, err := db.DomainUsage(ctx, "X.test", 1000)
	if want := (accounts.DomainUsage{Bytes: 6000, Max: 10000}); err != nil || !reflect.DeepEqual(sum, want) {
		t.Errorf("%+v, %v; want %+v: what is no mailbox any more does not count", sum, err, want)
	}
	for _, local := range []string{"unseen", "odd@part"} {
		insert(t, db, "mailbox", columns{
			{"username", local + "@x.test"}, {"password", "x"}, {"name", ""}, {"maildir", ""}, {"quota", 0}, {"local_part", local}, {"domain", "x.test"}, {"active", true},
		})
	}
	sum, err = db.DomainUsage(ctx, "x.test", 1000)
	slices.SortFunc(sum.Unwritten, func(a, b mail.Address) int { return strings.Compare(a.Local, b.Local) })
	if want := []mail.Address{{Local: "odd@part", Domain: "x.test"}, {Local: "unseen", Domain: "x.test"}}; err != nil || !slices.Equal(sum.Unwritten, want) {
		t.Errorf("without a row: %+v, %v", sum.Unwritten, err)
	}
	if sum, err = db.DomainUsage(ctx, "free.test", 1000); err != nil || !reflect.DeepEqual(sum, accounts.DomainUsage{}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err = db.DomainUsage(ctx, "none.test", 1000); err != accounts.ErrNotFound { //nolint:errorlint // exactly that
		t.Errorf("%v", err)
	}
	if _, err := db.sql.ExecContext(ctx, "ALTER TABLE "+table+" RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	defer db.sql.ExecContext(ctx, "ALTER TABLE away RENAME TO "+table)
	_ = db.WriteUsage(ctx, all) // finds out
	if err := db.WriteUsage(ctx, all); err != nil {
		t.Errorf("without the table: %v", err)
	}
}
