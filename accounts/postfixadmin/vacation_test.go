package postfixadmin

import (
	"errors"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

// TestVacation asks every schema of both engines for vacations that are in
// force, over, to come and switched off.
func TestVacation(t *testing.T) {
	t.Parallel()
	for name, c := range emptyDatabases(t) {
		t.Run(name, func(t *testing.T) {
			db := open(t, c)
			if s, err := db.probed(t.Context()); err != nil || !s.has("vacation", "activefrom") {
				t.Logf("no period in this schema: %v", err)
				return
			}
			testVacation(t, db)
		})
	}
}

func testVacation(t *testing.T, db *DB) {
	t.Helper()
	ctx := t.Context()
	for _, table := range []string{"vacation_notification", "vacation"} {
		if _, err := db.sql.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.sql.ExecContext(ctx, "DELETE FROM domain"); err != nil {
		t.Fatal(err)
	}
	insert(t, db, "domain", columns{{"domain", "x.test"}, {"description", ""}, {"transport", "virtual"}, {"active", true}})
	const past, future = "2001-01-01 00:00:00", "2037-01-01 00:00:00"
	for _, row := range []struct {
		local, from, until string
		active             bool
	}{{"away", past, future, true}, {"over", past, "2002-01-01 00:00:00", true}, {"tocome", "2036-01-01 00:00:00", future, true}, {"off", past, future, false}} {
		insert(t, db, "vacation", columns{
			{"email", row.local + "@x.test"}, {"subject", "Weg 日本"}, {"body", "Größe\n"}, {"cache", ""}, {"domain", "x.test"},
			{"activefrom", row.from}, {"activeuntil", row.until}, {"active", row.active}, {"interval_time", 3600},
		})
	}
	v, err := db.Vacation(ctx, addr("Away", "x.test"))
	if err != nil || v.Body != "Größe\n" || v.Interval != time.Hour || v.Version == "" {
		t.Errorf("%+v, %v", v, err)
	}
	for _, a := range []mail.Address{addr("over", "x.test"), addr("tocome", "x.test"), addr("off", "x.test"), addr("nobody", "x.test"), {}} {
		if v, err := db.Vacation(ctx, a); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s: %+v, %v", a, v, err)
		}
	}
	for _, n := range []struct{ who, at string }{{"old@far.test", past}, {"new@far.test", future}} {
		insert(t, db, "vacation_notification", columns{{"on_vacation", "away@x.test"}, {"notified", n.who}, {"notified_at", n.at}})
	}
	once := accounts.Vacation{}
	for _, tt := range []struct {
		who  string
		v    accounts.Vacation
		want bool
	}{{"old", v, false}, {"New", v, true}, {"old", once, true}, {"none", once, false}} {
		if got, err := db.Notified(ctx, addr("away", "x.test"), addr(tt.who, "far.test"), tt.v); err != nil || got != tt.want {
			t.Errorf("%s was told within %v: %v, %v", tt.who, tt.v.Interval, got, err)
		}
	}
}
