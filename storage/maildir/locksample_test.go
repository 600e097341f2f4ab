package maildir

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
)

// samples are those in a mail root.
func samples(t *testing.T, tree durable.FS) (found []string) {
	t.Helper()
	names, err := tree.ReadDirNames(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, samplePrefix) {
			found = append(found, name)
		}
	}
	return found
}

// TestLockSample holds that a store that locks often links its locks to one file,
// that they are like others, and that the file goes with the store.
func TestLockSample(t *testing.T) {
	t.Parallel()
	tree, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	b := newBox(t, Config{FS: tree, Hostname: "here", LockWait: 50 * time.Millisecond})
	b.write(samplePrefix+"999999999-left", "999999999:here") // of a process that was killed
	locks := b.store.locks
	for i := range sampleAfter + 2 {
		lock, err := locks.lock(t.Context(), aliceLock)
		if err != nil {
			t.Fatal(err)
		}
		text, err := durable.ReadFile(tree, aliceLock)
		info, statErr := tree.Stat(aliceLock)
		if err != nil || statErr != nil || string(text) != string(locks.owner()) || info.Mode().Perm() != lockMode {
			t.Errorf("lock %d: %q, %v, %v", i, text, info, errors.Join(err, statErr))
		}
		if _, err := locks.lock(t.Context(), aliceLock); !errors.Is(err, storage.ErrInUse) {
			t.Errorf("lock %d a second time: %v", i, err)
		}
		if err := lock.unlock(); err != nil {
			t.Error(err)
		}
	}
	if got := samples(t, tree); len(got) != 1 || got[0] != locks.sample.name {
		t.Errorf("samples %q, want only %q", got, locks.sample.name)
	}
	if _, err := locks.lock(t.Context(), "missing/dovecot-uidlist.lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock where no directory is: %v", err)
	}
	b.close()
	if got := samples(t, tree); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// TestLockSampleOfAnotherHost holds that a lock is judged by when it was made, not
// by the age of the file that it is a link to.
func TestLockSampleOfAnotherHost(t *testing.T) {
	t.Parallel()
	tree, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	b := newBox(t, Config{FS: tree, Hostname: "here", LockWait: 50 * time.Millisecond})
	b.broken = true
	defer b.close()
	b.writeMode("sample", "1:there", lockMode)
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(tree.Chtimes("sample", old, old), tree.Link("sample", aliceLock)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetFlags(t.Context(), []storage.UID{1}, storage.FlagEdit{}, 0); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("flags under the lock of another host: %v", err)
	}
}

// TestLockSampleGone holds that locks are made without the sample when somebody
// has removed it.
func TestLockSampleGone(t *testing.T) {
	t.Parallel()
	b := newBox(t, Config{FS: crashfs.New(), Hostname: "here"})
	defer b.close()
	for range 2 * sampleAfter {
		b.append("x")
		for _, name := range samples(t, b.fs) {
			if err := b.fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.store.locks.sample.name == "" {
		t.Error("there was no sample")
	}
}

// TestLockSampleIsOptional holds that a mail root in which nothing can be linked
// to a sample is used as well.
func TestLockSampleIsOptional(t *testing.T) {
	t.Parallel()
	b := newBox(t, Config{FS: noSamples{crashfs.New()}, Hostname: "here"})
	for range sampleAfter + 2 {
		b.append("x")
	}
	b.close()
}

type noSamples struct{ durable.FS }

func (n noSamples) Link(old, name string) error {
	if strings.HasPrefix(old, samplePrefix) {
		return &fs.PathError{Op: "link", Path: name, Err: errors.ErrUnsupported}
	}
	return n.FS.Link(old, name)
}
