package daemon

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"gomaild/internal/config"
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
