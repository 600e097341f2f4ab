package maildir

import (
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
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
