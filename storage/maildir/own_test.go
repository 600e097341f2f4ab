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

// TestOwnAppend holds that our own APPEND makes nobody read the directory, and that
// mail which comes in the middle of it, or of a change of flags, is seen at once.
func TestOwnAppend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	counted := &scans{FS: newRoot(t, dir)}
	disk := &meddler{FS: counted, before: func(int) {}}
	b := newBox(t, Config{FS: disk, Hostname: "here"})
	defer b.close()
	b.append("a")
	rest := func() { // as if nothing had happened for a while
		t.Helper()
		for _, name := range []string{"cur", "new", uidListFile, keywordsFile} {
			err := os.Chtimes(filepath.Join(dir, alice, name), time.Now(), time.Now().Add(-time.Minute))
			if err != nil && name != keywordsFile {
				t.Fatal(err)
			}
		}
		if _, err := b.View(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	view := func(n int) *storage.View {
		t.Helper()
		v, err := b.View(t.Context())
		if err != nil || len(v.Messages) != n {
			t.Fatalf("%+v, %v, want %d messages", v, err, n)
		}
		return v
	}
	view(1)
	if err := os.Chtimes(filepath.Join(dir, alice, "new"), time.Now(), time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.append("a") // as often as anybody can: no look ever comes long after a change
	view(2)
	read := counted.n
	b.append("a")
	view(3)
	if counted.n != read {
		t.Errorf("directories were read %d times", counted.n-read)
	}
	if err := b.Expunge(t.Context(), []storage.UID{2, 3}); err != nil {
		t.Fatal(err)
	}
	rest()
	before := view(1)
	read = counted.n
	d := storagetest.Draft("b")
	d.Flags, d.Keywords = storage.Seen, []string{"kw"}
	if _, err := b.Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	b.append("c")
	v := view(3)
	if counted.n != read {
		t.Errorf("directories were read %d times", counted.n-read)
	}
	if m := v.Messages[1]; m.UID != 4 || m.Flags != storage.Seen || m.ModSeq <= before.HighestModSeq || len(v.KeywordNames(m.Keywords)) != 1 || v.UIDNext != 6 || v.HighestModSeq <= m.ModSeq {
		t.Errorf("%+v", v)
	}
	if len(before.Messages) != 1 {
		t.Errorf("an older view is %+v", before)
	}
	if again := storagetest.Check(t, b.Mailbox); again != v {
		t.Errorf("the next look shows %+v, not %+v", again, v)
	}

	rest()
	disk.before = func(int) { b.write(alice+"new/5.during", storagetest.Text("during")) }
	if _, err := b.SetFlags(t.Context(), []storage.UID{1}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0); err != nil {
		t.Fatal(err)
	}
	view(4)
}
