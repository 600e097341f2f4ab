package daemon

import (
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
)

// TestQuota holds that a full account is refused wherever mail comes from, and
// takes it again when there is room.
func TestQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := New(w.config(t, "quota.enabled = true\nquota.messages = 2\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	mx := func(subject string) error {
		return transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, subject)
	}
	for _, subject := range []string{"one", "two"} {
		if err := mx(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := mx("three"); err == nil || !strings.Contains(err.Error(), "Quota exceeded") {
		t.Errorf("a third message: %v", err)
	}
	c := w.login(t)
	if got := subjects(t, c); len(got) != 2 {
		t.Errorf("%q", got)
	}
	overQuota := func(what string, err error) {
		t.Helper()
		if no, ok := errors.AsType[*imap.Error](err); !ok || no.Code != imap.ResponseCodeOverQuota {
			t.Errorf("%s: %v", what, err)
		}
	}
	text := content("four")
	a := c.Append("INBOX", int64(len(text)), nil)
	_, err = a.Write([]byte(text))
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = a.Wait()
	overQuota("APPEND", err)
	_, err = c.Copy(imap.SeqSetNum(1), "Trash").Wait()
	overQuota("COPY", err)
	if _, err := c.Move(imap.SeqSetNum(1), "Trash").Wait(); err != nil {
		t.Errorf("MOVE: %v", err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Error(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Error(err)
	}
	if err := mx("five"); err != nil {
		t.Errorf("with room again: %v", err)
	}
	file, err := os.ReadFile(w.path("mail/example.test/alice@example.test/maildirsize"))
	if err != nil || !strings.HasPrefix(string(file), "2C\n") {
		t.Errorf("%q, %v", file, err)
	}
}

// TestUsageInDatabase holds that PostfixAdmin sees what an account holds, that
// the user is warned, and that a domain's sum is a limit.
func TestUsageInDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sql(t, "UPDATE domain SET quota = 100 WHERE domain = 'example.test'")
	d, err := New(w.config(t, "quota.enabled = true\nquota.messages = 5\nquota.domains = true\nquota.domain_unit = \"1kB\"\nquota.warnings = [40]\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	send := func(text string) error {
		return transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, text)
	}
	if err := send("one"); err != nil {
		t.Fatal(err)
	}
	c := w.login(t)
	if err := send("two"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(subjects(t, c)) < 3 && time.Now().Before(deadline); {
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := subjects(t, c); !slices.Contains(got, "Your mailbox is 40 % full") {
		t.Errorf("no warning: %q", got)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var octets, messages int64
	w.sql(t, "SELECT bytes, messages FROM quota2 WHERE username = 'alice@example.test'", &octets, &messages)
	if messages != 3 || octets < 300 {
		t.Errorf("quota2 says %d octets, %d messages", octets, messages)
	}

	w.sql(t, "UPDATE domain SET quota = 1 WHERE domain = 'example.test'")
	w.start(t)
	if err := send("domain is full " + strings.Repeat("x", 600)); err == nil || !strings.Contains(err.Error(), "Quota exceeded") {
		t.Errorf("over the domain's quota: %v", err)
	}
}

// TestUsageOfDirect holds that a delivery without a daemon shows in the database,
// and is held to the sum of the domain.
func TestUsageOfDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sql(t, "UPDATE domain SET quota = 1 WHERE domain = 'example.test'")
	c := w.config(t, "quota.enabled = true\nquota.messages = 10\nquota.warnings = [10]\nquota.domains = true\nquota.domain_unit = \"3kB\"\n", listeners)
	order := receive.Order{Session: "test", To: mail.Address{Local: "alice", Domain: "example.test"}, Content: strings.NewReader(content("x"))}
	if err := DeliverDirect(t.Context(), c, order); err != nil {
		t.Fatal(err)
	}
	var messages int64
	w.sql(t, "SELECT messages FROM quota2 WHERE username = 'alice@example.test'", &messages)
	if messages != 2 {
		t.Errorf("quota2 says %d messages, want one and the warning", messages)
	}
	names, err := os.ReadDir(w.path("mail/example.test/alice@example.test/new"))
	if err != nil {
		t.Fatal(err)
	}
	warned := 0
	for _, n := range names {
		text, err := os.ReadFile(w.path("mail/example.test/alice@example.test/new/" + n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		warned += strings.Count(string(text), "\nSubject: Your mailbox is 10 % full\n")
	}
	if warned != 1 {
		t.Errorf("%d warnings in %d messages", warned, len(names))
	}
	order.Content = strings.NewReader(content(strings.Repeat("x", 3000)))
	if err := DeliverDirect(t.Context(), c, order); mail.StatusOf(err) == nil || mail.StatusOf(err).Enhanced != "5.2.2" {
		t.Errorf("over the domain's quota: %v", err)
	}
}

// sql runs a statement on the world's database, or reads one row of a query.
func (w *world) sql(t *testing.T, statement string, into ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path("accounts.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if len(into) > 0 {
		err = db.QueryRowContext(t.Context(), statement).Scan(into...)
	} else {
		_, err = db.ExecContext(t.Context(), statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// TestUsageOfTheUnwritten holds that a mailbox of which the database knows nothing
// comes to count in its domain's sum, and that one without a directory gets none.
func TestUsageOfTheUnwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sql(t, "UPDATE domain SET quota = 100 WHERE domain = 'example.test'")
	dir := w.path("mail/example.test/bob@example.test/new")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/1700000000.M1P1.old", []byte("Subject: old\n\n"+strings.Repeat("x", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(w.config(t, "quota.enabled = true\nquota.domains = true\nquota.domain_unit = \"1kB\"\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	var octets int64
	for deadline := time.Now().Add(20 * time.Second); octets < 5000 && time.Now().Before(deadline); {
		if err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "x"); err != nil {
			t.Fatal(err)
		}
		w.sql(t, "SELECT COALESCE(SUM(bytes), 0) FROM quota2 WHERE username = 'bob@example.test'", &octets)
	}
	if octets < 5000 {
		t.Errorf("quota2 says %d octets of bob", octets)
	}
}
