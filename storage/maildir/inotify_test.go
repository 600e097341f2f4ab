package maildir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestInotify holds that changes by others are noticed through inotify alone,
// also after a rename of the mailbox, and that no watch is left.
func TestInotify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, dir), Notify: dir, Hostname: "here", PollInterval: time.Hour})
	defer b.close()
	if b.store.watcher == nil {
		t.Fatal("no inotify here")
	}
	b.append("a")
	home := filepath.Join(dir, alice)
	noticed := func(what string, m storage.Mailbox, change func()) {
		t.Helper()
		v, err := m.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.After(20 * time.Second); ; {
			changed := m.Changed(v)
			if change != nil {
				change()
				change = nil
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s is not noticed", what)
			}
			now, err := m.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if now != v {
				return
			}
		}
	}
	noticed("a delivery", b, func() { b.write(alice+"new/5.other", storagetest.Text("b")) })
	noticed("another", b, func() { b.write(alice+"new/6.other", storagetest.Text("c")) })
	noticed("a flag", b, func() { (foreign{b}).rename("cur/5.other:2,", "cur/5.other:2,S") })
	noticed("a removal", b, func() { b.must(os.Remove(filepath.Join(home, "cur", "6.other:2,"))) })

	b.must(b.account.Create(t.Context(), "Sub"))
	sub, err := b.account.Open(t.Context(), "Sub")
	b.must(err)
	noticed("a delivery to a folder", sub, func() { b.write(alice+".Sub/new/7.other", storagetest.Text("d")) })
	b.must(b.account.Rename(t.Context(), "Sub", "Moved"))
	noticed("a delivery to a renamed folder", sub, func() { b.write(alice+".Moved/new/8.other", storagetest.Text("e")) })
	b.must(sub.Close())
	b.must(b.account.Delete(t.Context(), "Moved"))
	b.store.watcher.mu.Lock()
	defer b.store.watcher.mu.Unlock()
	if len(b.store.watcher.counts) != 1 || len(b.store.watcher.boxes) != 2 {
		t.Errorf("%d mailboxes and %d directories are watched", len(b.store.watcher.counts), len(b.store.watcher.boxes))
	}
}

// TestNoWatchLeft holds that mailboxes without a watch are polled.
func TestNoWatchLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, dir), Notify: dir, Hostname: "here", PollInterval: 10 * time.Millisecond})
	defer b.close()
	b.store.watcher.limit = 0
	v := storagetest.Check(t, b.Mailbox)
	changed := b.Changed(v)
	if b.store.watcher.watches(b.Mailbox.(*handle).mailbox) {
		t.Error("watched above the limit")
	}
	b.write(alice+"new/5.other", storagetest.Text("b"))
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Error("a delivery is not noticed")
	}
}

// TestInotifyFolderRemoved holds that a mailbox whose directory others took away
// is noticed, and that those of overflown events are looked at.
func TestInotifyFolderRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, dir), Notify: dir, Hostname: "here", PollInterval: time.Hour})
	defer b.close()
	b.must(b.account.Create(t.Context(), "Sub"))
	sub, err := b.account.Open(t.Context(), "Sub")
	b.must(err)
	v := storagetest.Check(t, sub)
	changed := sub.Changed(v)
	overflow := make([]byte, 16)
	overflow[0], overflow[1], overflow[2], overflow[3] = 0xff, 0xff, 0xff, 0xff
	overflow[5] = 0x40 // IN_Q_OVERFLOW
	if found := b.store.watcher.mailboxes(overflow); len(found) != 1 {
		t.Errorf("%d mailboxes are looked at when events are lost", len(found))
	}
	b.must(os.RemoveAll(filepath.Join(dir, alice, ".Sub")))
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Error("the removal is not noticed")
	}
	b.must(sub.Close())
}
