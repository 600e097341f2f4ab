package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
)

// TestRepairReplays: a message that was acknowledged is in the journal alone, as
// after a power cut. A check leaves it there, a repair puts it back, and one beside
// a running daemon does not touch the daemon's journal.
func TestRepairReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.submit(t, "makes the mailbox"); err != nil {
		t.Fatal(err)
	}
	inboxes := []accounts.Mailbox{{Address: mail.Address{Local: "alice", Domain: "example.test"}}}
	check := func(repair bool) {
		t.Helper()
		err := CheckAccounts(t.Context(), w.cfg, inboxes, repair, func(r AccountReport) {
			if r.Err != nil || len(r.Left) > 0 {
				t.Errorf("%+v", r)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	check(true)
	if got := w.Status().Start.Epoch; got != 1 || w.mail.fence() != nil {
		t.Errorf("epoch %d, %v", got, w.mail.fence())
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	root, err := durable.OpenRoot(w.path("mail"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	j, err := journal.Open(journal.Config{FS: root, Dir: journalDir, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	const dir, name = "example.test/alice@example.test", "1700000000.M1P1X1.mail.example.test"
	entry := journal.Entry{Dir: dir, Name: name, ModTime: time.Unix(1_700_000_000, 0), UID: -1, GID: -1, Content: []byte("Subject: back\n\n")}
	if err := j.Deliver(entry, func() error { return nil }); err != nil { // and here the power is cut
		t.Fatal(err)
	}
	check(false)
	found := func() []string {
		names, err := filepath.Glob(w.path("mail/" + dir + "/*/" + name + "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if names := found(); len(names) > 0 {
		t.Errorf("a check replays: %q", names)
	}
	check(true)
	names := found()
	if len(names) != 1 {
		t.Fatalf("after the repair: %q", names)
	}
	if text, err := os.ReadFile(names[0]); err != nil || string(text) != string(entry.Content) {
		t.Errorf("it holds %q, %v", text, err)
	}
}
