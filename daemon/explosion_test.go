package daemon

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/config"
	"gomaild/mail"
)

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestAliasExplosion: an alias of 100 000 addresses, and two that lead to each
// other, are put off at RCPT, soon, and the log says which; a member of the same
// transaction gets its mail, and nobody else does. `gomaild route` shows it.
func TestAliasExplosion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := new(safeBuffer)
	d, err := New(w.config(t, "dns.servers = [\"127.0.0.1:1\"]\n", listeners), Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	var members strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&members, ",m%d@far.test", i)
	}
	db, err := sql.Open("sqlite", "file:"+w.path("accounts.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for address, to := range map[string]string{"wide@example.test": members.String()[1:], "there@example.test": "back@example.test", "back@example.test": "there@example.test"} {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO alias (address, goto, domain, active) VALUES (?, ?, 'example.test', 1)", address, to); err != nil {
			t.Fatal(err)
		}
	}
	w.start(t)
	c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	defer c.Close()
	if err := c.Mail("s@origin.test", nil); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, to := range []string{"wide@example.test", "there@example.test"} {
		if err := c.Rcpt(to, nil); err == nil || !strings.Contains(err.Error(), "Alias expansion error") {
			t.Errorf("%s: %v", to, err)
		}
		if text := log.String(); !strings.Contains(text, "to="+to) || !strings.Contains(text, "Alias expansion error") {
			t.Errorf("the log does not name %s:\n%.2000s", to, text)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := c.Rcpt("alice@example.test", nil); err != nil {
		t.Fatal(err)
	}
	data, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(data, content("for one")); err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	w.awaitFile(t, "alice", "", "Subject: for one")
	if s := w.outgoing.Load().queue.Stats(); s.Messages != 0 {
		t.Errorf("%+v", s)
	}
	r, err := FindRoute(t.Context(), d.cfg, mail.Address{}, mail.Address{Local: "wide", Domain: "example.test"})
	if err != nil || r.Stranger != "451 4.6.0 Alias expansion error" || len(r.Aliases) != 1 || len(r.Aliases[0].LeadsTo)+r.Aliases[0].More != 100_000 || len(r.Ends) > 1000 {
		t.Errorf("%v: %.500s", err, fmt.Sprintf("%+v", r))
	}
}
