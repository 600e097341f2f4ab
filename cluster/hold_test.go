package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
)

// on is a Config of a node; its clock stands still.
func on(fsys durable.FS, node string) Config {
	return Config{FS: fsys, Node: node, Boot: "boot-of-" + node, Now: func() time.Time { return time.Unix(1700000000, 0) }}
}

func take(t *testing.T, c Config) *Hold {
	t.Helper()
	h, err := Take(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Release() }) // twice is harmless
	return h
}

func TestTakeCounts(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	for i, tt := range []struct {
		node     string
		tookOver bool
	}{{"mail1", false}, {"mail1", false}, {"mail2", true}, {"mail2", false}, {"mail1", true}} {
		h := take(t, on(fsys, tt.node))
		if h.Record().Epoch != uint64(i+1) || h.Before().Epoch != uint64(i) || h.TookOver() != tt.tookOver {
			t.Errorf("start %d: %+v after %+v, took over: %v", i+1, h.Record(), h.Before(), h.TookOver())
		}
		if err := h.Fence(); err != nil {
			t.Error(err)
		}
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open after Release", n)
	}
}

func TestTakeRebooted(t *testing.T) {
	t.Parallel()
	c := on(crashfs.New(), "mail1")
	if err := take(t, c).Release(); err != nil {
		t.Fatal(err)
	}
	c.Boot = "another"
	if !take(t, c).TookOver() {
		t.Error("a start after a reboot is not told from a restart")
	}
}

func TestTakeRefusesASecond(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	first := take(t, on(fsys, "mail1"))
	_, err := Take(on(fsys, "mail2"))
	want := fmt.Sprintf("another gomaild has the mail root (epoch 1: process %d on mail1, started 2023-11-14T22:13:20Z)", os.Getpid())
	if !errors.Is(err, ErrHeld) || err.Error() != want {
		t.Errorf("a second Take: %v, want %s", err, want)
	}
	if err := first.Fence(); err != nil {
		t.Errorf("the refused one disturbed the first: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	take(t, on(fsys, "mail2"))
}

func fine() error { return nil }

// takeover is what a lock cannot prevent: the kernel that held it is paused.
func takeover(t *testing.T, fsys durable.FS) *Hold {
	t.Helper()
	if err := fsys.Remove(DefaultDir + "/lock"); err != nil {
		t.Fatal(err)
	}
	return take(t, on(fsys, "mail2"))
}

func TestFenceAfterTakeover(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	now := time.Unix(1700000000, 0)
	c := on(fsys, "mail1")
	c.Now = func() time.Time { now = now.Add(window); return now }
	old := take(t, c)
	if err := old.Fence(); err != nil {
		t.Fatal(err)
	}
	takeover(t, fsys)
	err := old.Fence()
	stale, ok := errors.AsType[*StaleError](err)
	if !ok || stale.Own.Node != "mail1" || stale.Now.Node != "mail2" || stale.Now.Epoch != 2 {
		t.Fatalf("the old one hears %v", err)
	}
	if err := old.Watch(t.Context(), 0, fine); !errors.Is(err, stale) {
		t.Errorf("Watch says %v", err)
	}
	// It is not forgotten, whatever the disk says later.
	fsys.Inject(func(crashfs.Op) error { return syscall.EIO })
	if err := old.Fence(); !errors.As(err, &stale) {
		t.Errorf("asked again it hears %v", err)
	}
}

func TestWatchAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := crashfs.New()
		c := on(fsys, "mail1")
		c.Now = nil
		old := take(t, c)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := old.Watch(ctx, 0, fine); err != nil || time.Since(begun) != time.Hour {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		takeover(t, fsys)
		begun = time.Now()
		err := old.Watch(t.Context(), 0, fine)
		if _, ok := errors.AsType[*StaleError](err); !ok || time.Since(begun) != watchEvery {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

// A disk that hangs ends the watch when its time is over, whether it hangs in
// reading or in writing; one that is only slow does not.
func TestWatchOfHungDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind  string // of the operation
		takes time.Duration
		hung  bool
	}{{"read", time.Hour, true}, {"sync", time.Hour, true}, {"read", 20 * time.Second, false}, {"sync", 20 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			fsys := crashfs.New()
			c := on(fsys, "mail1")
			c.Now = nil
			h := take(t, c)
			var seen atomic.Bool
			fsys.Inject(func(op crashfs.Op) error {
				if strings.HasPrefix(op.Kind, tt.kind) {
					seen.Store(true)
					time.Sleep(tt.takes)
				}
				return nil
			})
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			err := h.Watch(ctx, 30*time.Second, fine)
			took := time.Since(begun)
			_, hung := errors.AsType[*HungError](err)
			if !seen.Load() || hung != tt.hung || hung && (took < 30*time.Second || took > 33*time.Second) || !hung && err != nil {
				t.Errorf("a %s of %v (seen: %t): %v after %v", tt.kind, tt.takes, seen.Load(), err, took)
			}
			time.Sleep(time.Hour) // the look ends
		})
	}
}

// Each question costs one read: of the page cache, or of the disk when the last
// look at it is old.
func TestFenceCost(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	now := time.Unix(1700000000, 0)
	c := on(fsys, "mail1")
	c.Now = func() time.Time { return now }
	h := take(t, c)
	ask := func(after time.Duration) int64 {
		now = now.Add(after)
		before := fsys.Operations()
		if err := h.Fence(); err != nil {
			t.Fatal(err)
		}
		return fsys.Operations() - before
	}
	for _, tt := range []struct {
		after time.Duration
		reads int64
	}{{0, 1}, {0, 1}, {window - 1, 1}, {1, 1}, {-365 * 24 * time.Hour, 1}, {0, 1}} {
		if got := ask(tt.after); got != tt.reads {
			t.Errorf("asked after %v: %d reads, want %d", tt.after, got, tt.reads)
		}
	}
}

// On a disk that takes longer for a read than a look is good for, all who wait for
// a look share it, and nobody waits who is covered by the last one.
func TestFenceOnASlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const takes = 3 * window
		fsys := crashfs.New()
		c := on(fsys, "mail1")
		c.Now = nil
		h := take(t, c)
		if err := h.Fence(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(window / 2)
		disk, cache := h.epoch, h.cached
		h.epoch, h.cached = slowFile{disk, takes}, cache
		ask := func(n int) time.Duration {
			begun := time.Now()
			var asking sync.WaitGroup
			for range n {
				asking.Go(func() {
					if err := h.Fence(); err != nil {
						t.Error(err)
					}
				})
			}
			asking.Wait()
			return time.Since(begun)
		}
		if took := ask(100); took != 0 {
			t.Errorf("covered by the last look: %v", took)
		}
		time.Sleep(window)
		if took := ask(100); took != takes {
			t.Errorf("a hundred who need a look take %v, want the %v of one", took, takes)
		}
		if took := ask(1); took != takes {
			t.Errorf("who comes after it: %v, want %v: the look began too long ago", took, takes)
		}
	})
}

// slowFile takes its time for a read.
type slowFile struct {
	durable.File
	takes time.Duration
}

func (f slowFile) ReadAt(b []byte, off int64) (int, error) {
	time.Sleep(f.takes)
	return f.File.ReadAt(b, off)
}

func TestFenceFaults(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	h := take(t, on(fsys, "mail1"))
	fsys.Inject(func(crashfs.Op) error { return syscall.EIO })
	if err := h.Fence(); !errors.Is(err, syscall.EIO) || h.Err() != nil {
		t.Errorf("on a broken disk: %v, stale: %v", err, h.Err())
	}
	fsys.Inject(nil)
	if err := h.Fence(); err != nil {
		t.Errorf("when the disk is back: %v", err)
	}
}

// A clock that went back a year between two nodes changes nothing.
func TestClockMovedBack(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	take(t, on(fsys, "mail1"))
	if err := fsys.Remove(DefaultDir + "/lock"); err != nil {
		t.Fatal(err)
	}
	c := on(fsys, "mail2")
	c.Now = func() time.Time { return time.Unix(1700000000, 0).AddDate(-1, 0, 0) }
	h := take(t, c)
	if h.Record().Epoch != 2 || h.Fence() != nil {
		t.Errorf("with an old clock: %v, %v", h.Record(), h.Fence())
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		file   string // "" for none
		id     string // that is asked for
		marked bool
		want   error
		wantID string
	}{
		{"one is made with a random id", "", "", false, nil, ""},
		{"one is made with the id of the configuration", "", "mail", false, nil, "mail"},
		{"none is made where there has to be one", "", "mail", true, ErrUnmarked, ""},
		{"any will do", "gomaild-cluster-1 mail\n", "", true, nil, "mail"},
		{"the right one", "gomaild-cluster-1 mail\n", "mail", true, nil, "mail"},
		{"another one", "gomaild-cluster-1 web\n", "mail", true, ErrForeign, ""},
		{"another one without a mount", "gomaild-cluster-1 web\n", "mail", false, ErrForeign, ""},
	} {
		fsys := crashfs.New()
		if tt.file != "" {
			writeMarkerFile(t, fsys, tt.file)
		}
		c := on(fsys, "mail1")
		c.ID, c.Marked = tt.id, tt.marked
		h, err := Take(c)
		switch {
		case !errors.Is(err, tt.want):
			t.Errorf("%s: %v, want %v", tt.rule, err, tt.want)
		case err == nil && (CheckID(h.ID()) != nil || tt.wantID != "" && h.ID() != tt.wantID):
			t.Errorf("%s: the id is %q, want %q", tt.rule, h.ID(), tt.wantID)
		}
		if err != nil && fsys.OpenFiles() != 0 {
			t.Errorf("%s: a file stays open", tt.rule)
		}
	}
}

// A root that has to be marked and is not, such as the empty directory below a
// mount that is missing, is not written to.
func TestUnmarkedIsNotTouched(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	c := on(fsys, "mail1")
	c.Marked = true
	if _, err := Take(c); !errors.Is(err, ErrUnmarked) {
		t.Fatal(err)
	}
	if names, err := fsys.ReadDirNames("."); len(names) > 0 || err != nil {
		t.Errorf("left behind: %q, %v", names, err)
	}
}

func TestMarkerDamaged(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "gomaild-cluster-1 \n", "gomaild-cluster-2 mail\n", "gomaild-cluster-1 a b\n", "gomaild-cluster-1 " + strings.Repeat("x", 65)} {
		fsys := crashfs.New()
		writeMarkerFile(t, fsys, text)
		if _, err := Take(on(fsys, "mail1")); err == nil || errors.Is(err, ErrUnmarked) {
			t.Errorf("the marker %q: %v", text, err)
		}
	}
}

func writeMarkerFile(t *testing.T, fsys durable.FS, text string) {
	t.Helper()
	if err := durable.MkdirAll(fsys, DefaultDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(fsys, DefaultDir+"/cluster", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRealDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *durable.Root {
		root, err := durable.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = root.Close() })
		return root
	}
	first := take(t, Config{FS: open()})
	if err := first.Fence(); err != nil {
		t.Fatal(err)
	}
	second := open()
	if _, err := Take(Config{FS: second}); !errors.Is(err, ErrHeld) {
		t.Errorf("a second daemon in the process: %v", err)
	}
	if err := second.Remove(DefaultDir + "/lock"); err != nil {
		t.Fatal(err)
	}
	take(t, Config{FS: second})
	if first.Fence() == nil {
		t.Error("the first is not fenced at once, under the same kernel")
	}
}

func BenchmarkFence(b *testing.B) {
	root, err := durable.OpenRoot(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	now := time.Now()
	h, err := Take(Config{FS: root, Now: func() time.Time { now = now.Add(window); return now }})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Release()
	for b.Loop() {
		if err := h.Fence(); err != nil {
			b.Fatal(err)
		}
	}
}
