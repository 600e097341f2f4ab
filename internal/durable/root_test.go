package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gomaild/internal/durable"
	"gomaild/internal/durable/durabletest"
)

func openRoot(t *testing.T) *durable.Root {
	t.Helper()
	r, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRootConforms(t *testing.T) {
	t.Parallel()
	durabletest.Run(t, func(t *testing.T) durable.FS { return openRoot(t) })
}

func TestOpenRootOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := durable.OpenRoot(t.TempDir() + "/no"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

// TestCloseLeavesNothingOpen holds that a mount can go away after Close, even
// when a caller forgot a file and a Sub.
func TestCloseLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	r, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Mkdir("d", 0o700); err != nil {
		t.Fatal(err)
	}
	sub, err := r.Sub("d")
	if err != nil {
		t.Fatal(err)
	}
	f, err := sub.OpenFile("f", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if n := openBelow(t, dir); n == 0 {
		t.Fatal("the test does not see open files")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := openBelow(t, dir); n != 0 {
		t.Errorf("%d files are open after Close", n)
	}
	for what, err := range map[string]error{
		"Sync of a file": f.Sync(),
		"SyncDir":        r.SyncDir("d"),
		"Barrier":        r.Barrier(),
		"Barrier of Sub": sub.Barrier(),
		"Close":          r.Close(),
		"Close of Sub":   sub.Close(),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

// openBelow counts this process's open files below dir.
func openBelow(t *testing.T, dir string) int {
	t.Helper()
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	n := 0
	for _, l := range links {
		if target, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

// TestManyAtOnce drives Sync and SyncDir over the threshold at which passes
// are shared.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := openRoot(t)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			name := "f" + string(rune('0'+i))
			if err := durable.WriteFile(r, name, []byte("x"), 0o600); err != nil {
				t.Error(err)
			}
			if err := r.SyncDir("no"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("SyncDir of a missing directory: %v", err)
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseUnlocks: a program started at the wrong moment has the opening of a lock
// too, from its fork to its exec; the lock is free all the same after Close.
func TestCloseUnlocks(t *testing.T) {
	t.Parallel()
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	open := func() durable.File {
		f, err := root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	defer second.Close()
	if err := first.TryLock(); err != nil {
		t.Fatal(err)
	}
	forked, err := unix.Dup(int(first.(interface{ Fd() uintptr }).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(forked)
	if err := errors.Join(first.Close(), second.TryLock()); err != nil {
		t.Error(err)
	}
}
