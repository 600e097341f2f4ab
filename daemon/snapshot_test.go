package daemon

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"gomaild/internal/config"
)

// TestSnapshot: the database is there, and a copy of it is made; then it is
// gone when the daemon starts, as after a failover in the middle of an outage.
// Known recipients are accepted and known users log in; nobody is told that
// there is no such user.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := func() *config.Config {
		return w.config(t, "accounts.snapshot = \"own/accounts\"\naccounts.timeout = \"1s\"\nmetrics.address = \"127.0.0.1:0\"\n", listeners)
	}
	var err error
	if w.Daemon, err = New(with(), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.snapshot.Refresh(t.Context(), w.current.Load().db); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own/accounts", "mail/.gomaild/accounts"} {
		if info, err := os.Stat(w.path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
	}
	if err := os.RemoveAll(w.path("own")); err != nil { // the next node never had one
		t.Fatal(err)
	}
	if err := os.Rename(w.path("accounts.sqlite"), w.path("elsewhere")); err != nil {
		t.Fatal(err)
	}

	if w.Daemon, err = New(with(), Options{}); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	conn, err := net.Dial("tcp", w.addr(t, config.MX, config.StartTLS))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := transmit(t, conn, false, "known"); err != nil {
		t.Errorf("a known recipient: %v", err)
	}
	for login, want := range map[string]string{
		"alice@example.test": "", "nobody@example.test": "UNAVAILABLE",
	} {
		c, err := imapclient.DialTLS(w.addr(t, config.IMAP, config.Implicit), &imapclient.Options{TLSConfig: trusting()})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Login(login, password).Wait()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("login of %s: %v", login, err)
		}
		c.Close()
	}
	for to, want := range map[string]string{"alice@example.test": "250", "nobody@example.test": "451", "a@far.test": "451"} {
		err := w.rcpt(t, to)
		if (err == nil) != (want == "250") || err != nil && !strings.Contains(err.Error(), ": "+want) {
			t.Errorf("RCPT %s: %v", to, err)
		}
	}
	if s := w.Status().Snapshot; s == nil || s.Used == 0 || s.Age < 0 || s.Age > 3600 {
		t.Errorf("status: %+v", s)
	}
	_, page := fetch(t, "http://"+w.WebAddr().String()+"/metrics")
	if !strings.Contains(page, "\ngomaild_snapshot_age_seconds ") || !strings.Contains(page, "\ngomaild_snapshot_answers ") ||
		strings.Contains(page, "\ngomaild_snapshot_age_seconds -1\n") || strings.Contains(page, "\ngomaild_snapshot_answers 0\n") {
		t.Errorf("metrics: %s", page)
	}
}
