package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/internal/config"
	"gomaild/internal/mariadbtest"
	"gomaild/mail"
)

var mariadb mariadbtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	mariadb.Stop()
	os.Exit(code)
}

// TestMySQL runs on a real MariaDB server with a user that has a password and
// may only read, and turns the deployment's own answers on and off.
func TestMySQL(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	database := fixture.MySQL(t, s, fixture.RowsRelease)
	s.Exec(t, "", fmt.Sprintf("CREATE OR REPLACE USER 'reader'@'127.0.0.1' IDENTIFIED BY 'Secret pw'; GRANT SELECT ON %s.* TO 'reader'@'127.0.0.1'", database))
	w := newWorld(t)
	for name, text := range map[string]string{"secret": "Secret pw\r\nmore\n", "wrong": "wrong\n"} {
		if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := fmt.Sprintf("accounts.driver = \"mysql\"\naccounts.address = %q\naccounts.database = %q\naccounts.user = \"reader\"\n", s.Addr(), database)
	right, wrong := head+"accounts.password_file = \"secret\"\n", head+"accounts.password_file = \"wrong\"\n"

	if r := Check(t.Context(), w.config(t, right, listeners), false); len(r.Faults) > 0 {
		t.Errorf("check: %v", r.Faults)
	}
	r := Check(t.Context(), w.config(t, wrong, listeners), false)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults.Error(), "accounts.address: ") || !strings.Contains(r.Faults.Error(), "see that the server runs and lets this user in") {
		t.Errorf("check with a wrong password: %v", r.Faults)
	}

	w.cfg = w.config(t, right, listeners)
	w.start(t)
	if err := w.rcpt(t, "alice@example.com"); err != nil {
		t.Errorf("a mailbox: %v", err)
	}
	if err := w.rcpt(t, "alice@aliasoff.test"); err == nil {
		t.Error("an inactive alias domain resolves")
	}
	w.rush(t, s)
	if err := w.Reload(t.Context(), w.config(t, wrong, listeners)); err == nil {
		t.Error("went over to a database that does not let us in")
	}
	if err := w.Reload(t.Context(), w.config(t, right+"accounts.deployed_answers = true\n", listeners)); err != nil {
		t.Fatal(err)
	}
	if err := w.rcpt(t, "alice@aliasoff.test"); err != nil {
		t.Errorf("with deployed_answers an inactive alias domain does not resolve: %v", err)
	}
}

// rush asks for five hundred accounts at once, as after a failover, of a database
// that lets in no more connections than the configuration has: all get their answer.
func (w *world) rush(t *testing.T, s *mariadbtest.Server) {
	t.Helper()
	limit := func(most int) {
		s.Exec(t, "", fmt.Sprintf("ALTER USER 'reader'@'127.0.0.1' WITH MAX_USER_CONNECTIONS %d", most))
	}
	limit(w.cfg.Accounts.MaxConns)
	defer limit(0)
	db := w.current.Load().db
	var asking sync.WaitGroup
	for i := range 500 {
		asking.Go(func() {
			a := mail.Address{Local: fmt.Sprint("nobody", i), Domain: "example.com"}
			if _, _, err := db.Passwords(t.Context(), a); !errors.Is(err, accounts.ErrNotFound) {
				t.Errorf("one of many: %v", err)
			}
		})
	}
	asking.Wait()
}

// rcpt asks the MX about a recipient.
func (w *world) rcpt(t *testing.T, address string) error {
	t.Helper()
	conn := dial(t, "tcp", w.addr(t, config.MX, config.StartTLS))
	defer conn.Close()
	replies := lines(conn)
	<-replies
	for _, command := range []string{"HELO x", "MAIL FROM:<s@example.org>", "RCPT TO:<" + address + ">"} {
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			return err
		}
		if l := <-replies; !strings.HasPrefix(l, "250 ") {
			return fmt.Errorf("%s: %s", command, l)
		}
	}
	return nil
}
