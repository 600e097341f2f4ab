package maildir

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// newStore makes a store with host as its name, so that two in one test are as
// two nodes.
func newStore(t testing.TB, fsys durable.FS, host string) *Store {
	t.Helper()
	t.Cleanup(func() { // after the store was closed
		if err := Check(fsys, "."); err != nil && !t.Failed() {
			t.Errorf("left on disk: %v", err)
		}
	})
	s, err := New(Config{FS: fsys, Hostname: host})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newRoot is a directory tree of the test's own.
func newRoot(t testing.TB, dir string) *durable.Root {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return root
}

func TestSuiteOnDisk(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return newStore(t, newRoot(t, t.TempDir()), "disk.test")
	})
}

func TestSuiteOnCrashFS(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return newStore(t, crashfs.New(), "crash.test")
	})
}

// TestWithoutUnnamedFiles delivers on a file system that has no files without
// names: through tmp/, where nothing stays.
func TestWithoutUnnamedFiles(t *testing.T) {
	t.Parallel()
	fsys := &allNamed{FS: crashfs.New()}
	if err := fsys.Mkdir(".gomaild", 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Config{FS: fsys, Dir: ".gomaild", Size: 128 << 10, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(Config{FS: fsys, Journal: j, Hostname: "named.test"})
	if err != nil {
		t.Fatal(err)
	}
	owner := storage.Owner{Address: mail.Address{Local: "a", Domain: "example.test"}}
	for range 2 {
		deliverText(t, s, owner, "Subject: x\r\n\r\ntext\r\n")
	}
	if fsys.asked != 1 {
		t.Errorf("asked %d times", fsys.asked)
	}
	for dir, want := range map[string]int{"new": 2, "tmp": 0} {
		names, err := fsys.ReadDirNames("example.test/a@example.test/" + dir)
		if err != nil || len(names) != want {
			t.Errorf("%s: %q, %v", dir, names, err)
		}
	}
}

// allNamed is a file system without files without names.
type allNamed struct {
	durable.FS
	asked int
}

func (a *allNamed) CreateUnnamed(dir string, _ fs.FileMode) (durable.File, error) {
	a.asked++
	return nil, &fs.PathError{Op: "create in", Path: dir, Err: syscall.EOPNOTSUPP}
}

func deliverText(t *testing.T, s *Store, owner storage.Owner, text string) {
	t.Helper()
	account, err := s.Account(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	box, err := account.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if err := box.Deliver(t.Context(), storage.Draft{Content: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}
