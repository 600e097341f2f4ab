package deploy

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"gomaild/internal/peertest"
	"gomaild/mail"
)

// TestFail2ban: the filter finds who to ban in both forms of the log, and is not
// deceived by what a client writes into it.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	tool := peertest.Need(t, "fail2ban-regex", "fail2ban")
	for form, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var b bytes.Buffer
		log := slog.New(handler(&b))
		log.With("protocol", "imap", "session", "S", "client", "192.0.2.1", "tls", true, "mechanism", "PLAIN", "account", "a@x.test").Info(mail.EventLoginRefused, "reason", "wrong password")
		log.With("protocol", "smtp", "session", "S", "client", "2001:db8::1", "tls", true, "mechanism", "PLAIN", "account", "").Info(mail.EventLoginRefused, "reason", "malformed name")
		mx := func(from, client string) *slog.Logger {
			return log.With("session", "S", "way", "mx", "from", from, "client", client, "id", "S.1", "helo", "x")
		}
		mx("a@x.test", "192.0.2.2").Info(mail.EventRejected, "stage", "rcpt", "status", "550 5.1.1")
		mx("", "192.0.2.3").Info(mail.EventRejected, "stage", "rcpt", "status", "550 5.1.1")
		mx(`" client=198.51.100.1 "@x.test`, "192.0.2.4").Info(mail.EventRejected, "stage", "rcpt", "status", "550 5.1.1")
		mx(`","client":"198.51.100.2","@x.test`, "192.0.2.5").Info(mail.EventRejected, "stage", "rcpt", "status", "550 5.1.1")
		log.With("listener", "mx", "session", "S").Info(mail.EventDeferred, "stage", "connect", "client", "192.0.2.6", "status", "421 4.7.1")
		// Nobody's fault, or one of ours.
		mx("a@x.test", "203.0.113.1").Info(mail.EventDelivered, "to", "b@x.test")
		mx("a@x.test", "203.0.113.2").Warn(mail.EventDeferred, "stage", "rcpt", "status", "451 4.3.0")
		log.With("protocol", "imap", "session", "S", "client", "203.0.113.3").Info(mail.EventLogin, "cached", false)
		log.With("protocol", "imap", "session", "S", "client", "203.0.113.4").Error(mail.EventLoginUnavailable)
		file := filepath.Join(t.TempDir(), "gomaild.log")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		got := peertest.Run(t, "", tool, "--out", "ip", file, "fail2ban/filter.d/gomaild.conf")
		if want := "192.0.2.1\n2001:db8::1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n192.0.2.5\n192.0.2.6\n"; got != want {
			t.Errorf("%s: got\n%swant\n%s\n%s", form, got, want, &b)
		}
	}
}
