package daemon

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	gosmtp "github.com/emersion/go-smtp"

	"gomaild/cluster"
	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/policy/rate"
)

// second is another daemon on w's mail root, with sockets of its own.
func (w *world) second(t *testing.T) *world {
	t.Helper()
	d, err := New(w.config(t, `run_dir = "run2"`+"\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Daemon: d, dir: w.dir}
}

// TestSecondDaemonIsRefused starts two on one mail root.
func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := w.second(t)
	err := second.Start(t.Context())
	if !errors.Is(err, cluster.ErrHeld) || strings.Contains(err.Error(), "\n") || config.IsFault(err) ||
		!strings.HasPrefix(err.Error(), "storage.root "+w.path("mail")+": another gomaild has the mail root (epoch 1: process ") {
		t.Errorf("the second: %v", err)
	}
	if err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "to the first"); err != nil {
		t.Error(err)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	second.start(t)
	if got := subjects(t, second.login(t)); strings.Join(got, ", ") != "to the first" {
		t.Errorf("the second has %q", got)
	}
	checkEpochIn(t, w.path("mail"), "X1P")
}

// checkEpochIn holds that every message's name has the mark.
func checkEpochIn(t *testing.T, root, mark string) {
	t.Helper()
	names, err := filepath.Glob(root + "/example.test/*/cur/*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		if !strings.Contains(filepath.Base(n), mark) {
			t.Errorf("%s has no %s", n, mark)
		}
	}
}

// TestStaleDaemonIsFenced runs the first on as a paused machine would, that
// wakes up after another has the mail: its lock is gone with its kernel, which
// here is the removal of the lock file.
func TestStaleDaemonIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mx, submission := dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), w.addr(t, config.Submission, config.StartTLS)
	lmtp := dial(t, "tcp", w.addr(t, config.LMTP, config.NoTLS))
	reader := w.login(t)
	if err := w.submit(t, "before"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.path("mail/.gomaild/lock")); err != nil {
		t.Fatal(err)
	}
	second := w.second(t).start(t)

	wantStatus(t, "MX", transmit(t, mx, false, "lost"), 421)
	wantStatus(t, "LMTP", transmit(t, lmtp, true, "lost"), 421)
	wantStatus(t, "submission at "+submission, w.submit(t, "lost"), 421)
	if _, err := reader.Select("INBOX", nil).Wait(); err == nil {
		t.Error("the stale one numbers messages")
	}
	if err := appendTo(reader, "lost"); err == nil {
		t.Error("the stale one takes APPEND")
	}
	stale, ok := errors.AsType[*cluster.StaleError](<-w.Ending())
	if !ok || stale.Own.Epoch != 1 || stale.Now.Epoch != 2 {
		t.Errorf("the stale one is told %v", stale)
	}
	results := w.outgoing.Load().Deliver(t.Context(), queue.Job{To: make([]mail.Recipient, 1)})
	if len(results) != 1 || !errors.As(results[0].Err, &stale) {
		t.Errorf("an attempt of the stale one's queue: %v", results)
	}

	now := time.Now()
	if _, err := w.greylist.Check(netip.MustParseAddr("192.0.2.1"), mail.ReversePath{}, mail.Address{Local: "a", Domain: "b.test"}, time.Minute); err != nil {
		t.Error(err)
	}
	w.brakes.Take(now, rate.Use{Key: "stale", Limit: rate.Limit{N: 1, Per: time.Hour}})
	w.known.Take(now, rate.Use{Key: "stale", Limit: rate.Limit{N: 1, Per: time.Hour}})
	if err := second.submit(t, "after"); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(t.Context()); !errors.As(err, &stale) {
		t.Errorf("Stop of the stale one: %v", err)
	}
	for _, name := range []string{"greylist", "brakes", "brakes-known"} {
		if _, err := os.Stat(w.path("mail/.gomaild/" + name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the stale one wrote %s: %v", name, err)
		}
	}
	if err := second.submit(t, "at last"); err != nil {
		t.Fatal(err)
	}
	if got := subjects(t, second.login(t)); strings.Join(got, ", ") != "before, after, at last" {
		t.Errorf("alice has %q", got)
	}
}

func wantStatus(t *testing.T, way string, err error, code int) {
	t.Helper()
	if reply, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || reply.Code != code {
		t.Errorf("%s: %v, want %d", way, err, code)
	}
}

func appendTo(c *imapclient.Client, subject string) error {
	text := content(subject)
	cmd := c.Append("INBOX", int64(len(text)), nil)
	_, writeErr := io.WriteString(cmd, text)
	closeErr := cmd.Close()
	_, err := cmd.Wait()
	return errors.Join(writeErr, closeErr, err)
}
