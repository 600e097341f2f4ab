package maildir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// scans counts how often directories are read.
type scans struct {
	durable.FS
	n int
}

func (s *scans) ReadDir(name string) ([]durable.Entry, error) {
	s.n++
	return s.FS.ReadDir(name)
}

// TestOwnChanges holds that our own changes do not make us read the directory
// again, and that what others do is seen nevertheless.
func TestOwnChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := &scans{FS: newRoot(t, dir)}
	s, err := New(Config{FS: disk, Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, err := s.Account(t.Context(), storagetest.Alice())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m, err := a.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, subject := range []string{"a", "b", "c"} {
		if _, err := m.Append(t.Context(), storagetest.Draft(subject)); err != nil {
			t.Fatal(err)
		}
	}
	view := func() *storage.View {
		v, err := m.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	cur := filepath.Join(dir, "example.org/alice@example.org/cur")
	rest := func() { // as if nothing had happened for a while
		for _, name := range []string{cur, filepath.Join(filepath.Dir(cur), "new"), filepath.Join(filepath.Dir(cur), uidListFile)} {
			if err := os.Chtimes(name, time.Now(), time.Now().Add(-time.Minute+time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		view()
	}
	flag := func(uid storage.UID, f storage.SystemFlag) {
		if _, err := m.SetFlags(t.Context(), []storage.UID{uid}, storage.FlagEdit{Op: storage.AddFlags, Flags: f}, 0); err != nil {
			t.Fatal(err)
		}
	}
	view()
	rest()
	before := disk.n
	flag(1, storage.Seen)
	flag(2, storage.Flagged)
	if err := m.Expunge(t.Context(), []storage.UID{3}); err != nil {
		t.Fatal(err)
	}
	if v := view(); disk.n != before || len(v.Messages) != 2 || v.Messages[0].Flags != storage.Seen {
		t.Errorf("%d scans after our own changes, %+v", disk.n-before, v.Messages)
	}
	names, err := filepath.Glob(cur + "/*:2,S")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.Rename(names[0], names[0]+"T"); err != nil {
		t.Fatal(err)
	}
	rest()
	if v := view(); v.Messages[0].Flags != storage.Seen|storage.Deleted {
		t.Errorf("what another did is not seen: %+v", v.Messages)
	}
	m.(*handle).disk.own, m.(*handle).disk.scanned = true, time.Now().Add(-2*ownTime)
	before = disk.n
	if view(); disk.n == before {
		t.Error("the directory is not read after a while")
	}
}
