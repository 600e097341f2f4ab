package postfixadmin

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/mail"
)

// TestStatements proves on the server's own log that nothing but our
// statements arrives: no SET, no session variable, nothing prepared, which
// would all cost ProxySQL its multiplexing; and that names still come back
// whole, because the handshake names the character set.
func TestStatements(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	name := fixture.MySQL(t, s, "4.0.5")
	s.Exec(t, "", "CREATE USER watched@'127.0.0.1'; GRANT ALL ON *.* TO watched@'127.0.0.1'")
	s.Exec(t, "", "SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1")
	c := onMySQL(s, name)
	c.User, c.AppPasswords = "watched", true
	db := open(t, c)
	rows, err := db.Mailboxes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[mail.Address]string)
	for _, r := range rows {
		names[r.Address] = r.Name
	}
	for a, want := range map[mail.Address]string{bob: "Боб Петров 日本", alice: "Alice Ångström"} {
		if names[a] != want {
			t.Errorf("the name of %s reads %q, want %q", a, names[a], want)
		}
	}
	if err := db.AddMailbox(t.Context(), addr("emoji2", "example.com"), "x", "☃ 😀", 0, ""); err != nil {
		t.Errorf("a name beyond three octets a letter: %v", err)
	}
	if _, _, err := db.Passwords(t.Context(), alice); err != nil {
		t.Error(err)
	}
	if got := s.Strings(t, name, "SELECT HEX(name) FROM mailbox WHERE username = 'emoji2@example.com'"); got[0] != "E2988320F09F9880" {
		t.Errorf("stored as %s", got[0])
	}
	s.Exec(t, "", "SET GLOBAL general_log = 0")
	log := s.Strings(t, "mysql", "SELECT CONCAT(command_type, ' ', argument) FROM general_log WHERE user_host LIKE '%watched%'")
	if len(log) < 10 {
		t.Errorf("the server's log is too short to prove anything: %q", log)
	}
	for _, line := range log {
		word := strings.ToUpper(line)
		if strings.HasPrefix(word, "QUERY SET") || strings.HasPrefix(word, "PREPARE") || strings.HasPrefix(word, "EXECUTE") || strings.Contains(word, "@@") {
			t.Errorf("the server was sent %q", line)
		}
	}
}

// TestIdentity: the server's collation finds more than it is asked for; those
// rows are not the answer, on tables with every character set.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	name := fixture.MySQL(t, s, fixture.RowsRelease)
	s.Exec(t, name, `ALTER TABLE mailbox CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
		INSERT INTO mailbox (username, password, name, maildir, local_part, domain) VALUES
		('usér@example.com', 'x', '', '', '', ''), ('blank@example.com ', 'x', '', '', '', '')`)
	if got := s.Strings(t, name, "SELECT username FROM mailbox WHERE username IN ('user@example.com', 'blank@example.com')"); len(got) != 2 {
		t.Fatalf("the trap is not set: %q", got)
	}
	db := open(t, onMySQL(s, name))
	for _, a := range []mail.Address{addr("user", "example.com"), addr("blank", "example.com"), addr("usér", "example.com")} {
		if m, err := db.Mailbox(t.Context(), a); err == nil || isFault(err) {
			t.Errorf("%s found %v, %v", a, m, err)
		}
	}
}

// TestMySQLSettings holds the driver's configuration.
func TestMySQLSettings(t *testing.T) {
	t.Parallel()
	secured := &tls.Config{ServerName: "db.example"}
	for _, tt := range []struct {
		rule string
		c    Config
		net  string
		addr string
	}{
		{"host and port", Config{Host: "::1", Port: 6033, Database: "p", User: "u", Password: "p:/@?"}, "tcp", "[::1]:6033"},
		{"defaults", Config{Database: "p"}, "tcp", "127.0.0.1:3306"},
		{"socket", Config{Socket: "/run/s", Database: "p"}, "unix", "/run/s"},
		{"DSN", Config{DSN: "u:p@tcp(db:1)/p"}, "tcp", "db:1"},
	} {
		tt.c.TLS = secured
		m, err := tt.c.withDefaults().mysqlConfig()
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if m.Net != tt.net || m.Addr != tt.addr || m.DBName != "p" || m.TLS != secured || m.Passwd != tt.c.Password && tt.c.DSN == "" {
			t.Errorf("%s: %+v", tt.rule, m)
		}
		if !m.InterpolateParams || m.MultiStatements || m.Timeout != 2*time.Second || m.ReadTimeout != 5*time.Second || m.WriteTimeout != 5*time.Second {
			t.Errorf("%s: %+v", tt.rule, m)
		}
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]Config{
		"no driver":            {},
		"unknown driver":       {Driver: "postgres"},
		"no file":              {Driver: SQLite},
		"no database":          {Driver: MySQL},
		"broken DSN":           {Driver: MySQL, DSN: "?"},
		"session variable":     {Driver: MySQL, DSN: "u@/p?sql_mode=ANSI"},
		"charset":              {Driver: MySQL, DSN: "u@/p?charset=utf8mb4"},
		"asks max_packet":      {Driver: MySQL, DSN: "u@/p?maxAllowedPacket=0"},
		"DSN without database": {Driver: MySQL, DSN: "u@/"},
	} {
		if db, err := Open(t.Context(), c); err == nil {
			db.Close()
			t.Errorf("%s: opened", rule)
		}
	}
}

// TestLifetime: connections end before ProxySQL ends them, not all nodes' at
// once.
func TestLifetime(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	met := make(map[time.Duration]bool)
	for range 100 {
		d := c.lifetime()
		met[d] = true
		if d > 5*time.Minute || d < 4*time.Minute {
			t.Fatalf("lifetime %v", d)
		}
	}
	if len(met) < 50 {
		t.Errorf("%d lifetimes of 100 differ", len(met))
	}
	if got := (Config{CacheTTL: time.Hour}).withDefaults().CacheTTL; got != maxCacheTTL {
		t.Errorf("a positive answer may be kept for %v", got)
	}
}

// TestCrowd: everybody comes back at once, as after a failover. The database sees
// no more connections than are allowed (it would refuse them), and everybody gets
// an answer.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const users, connections = 400, 6
	s := mariadb.Server(t)
	name := fixture.MySQL(t, s, fixture.RowsRelease)
	var rows []string
	for i := range users {
		rows = append(rows, fmt.Sprintf("('crowd%d@example.com', 'x', '', '', 'crowd%d', 'example.com')", i, i))
	}
	s.Exec(t, name, "INSERT INTO mailbox (username, password, name, maildir, local_part, domain) VALUES "+strings.Join(rows, ", "))
	s.Exec(t, "", fmt.Sprintf("CREATE USER crowd@'127.0.0.1' WITH MAX_USER_CONNECTIONS %d; GRANT ALL ON *.* TO crowd@'127.0.0.1'", connections))
	c := onMySQL(s, name)
	c.User, c.MaxOpen = "crowd", connections
	db := open(t, c)
	var asking errgroup.Group
	for i := range users {
		asking.Go(func() error {
			_, _, err := db.Passwords(t.Context(), addr(fmt.Sprintf("crowd%d", i), "example.com"))
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
}
