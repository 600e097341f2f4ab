package postfixadmin

import (
	"testing"

	"gomaild/accounts/postfixadmin/fixture"
)

// BenchmarkLookup is what one RCPT and one login cost. The floor is the same
// statement through the driver alone, on the same connections.
func BenchmarkLookup(b *testing.B) {
	s := mariadb.Server(b)
	for name, c := range map[string]Config{
		"sqlite": {Driver: SQLite, Path: fixture.SQLite(b, "4.0.5")},
		"mysql":  onMySQL(s, fixture.MySQL(b, s, "4.0.5")),
	} {
		db := open(b, c)
		b.Run(name+"/floor", func(b *testing.B) {
			for b.Loop() {
				var username, password string
				row := db.sql.QueryRowContext(b.Context(), "SELECT username, password FROM mailbox WHERE username = ? AND active = 1 LIMIT 1", "alice@example.com")
				if err := row.Scan(&username, &password); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/Passwords", func(b *testing.B) {
			for b.Loop() {
				if _, _, err := db.Passwords(b.Context(), alice); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/Mailbox-cached", func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Mailbox(b.Context(), alice); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
