package durable

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// newFakeCommits counts passes that take a second each.
func newFakeCommits(result func(pass int) error) (*commits, *int) {
	c := newCommits(nil)
	passes := new(int)
	c.syncfs = func() error {
		*passes++
		time.Sleep(time.Second)
		return result(*passes)
	}
	return c, passes
}

// TestBarrierSharesPasses holds that who waits shares a pass, and that nobody
// is served by a pass that began before he came.
func TestBarrierSharesPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, passes := newFakeCommits(func(int) error { return nil })
		start := time.Now()
		var wg sync.WaitGroup
		call := func(after, want time.Duration) {
			wg.Go(func() {
				time.Sleep(after)
				if err := c.barrier(); err != nil {
					t.Error(err)
				}
				if got := time.Since(start); got != want {
					t.Errorf("caller at %v was served at %v, want %v", after, got, want)
				}
			})
		}
		call(0, time.Second)
		for range 100 {
			call(time.Millisecond, 2*time.Second) // the first pass began before them
		}
		call(1500*time.Millisecond, 3*time.Second)
		call(10*time.Second, 11*time.Second)
		wg.Wait()
		if *passes != 4 {
			t.Errorf("%d passes, want 4", *passes)
		}
	})
}

// TestBrokenStaysBroken holds the rule of "fsyncgate": after one error of the
// disk no later sync can be believed.
func TestBrokenStaysBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, passes := newFakeCommits(func(pass int) error {
			if pass == 2 {
				return syscall.EIO
			}
			return nil
		})
		if err := c.barrier(); err != nil {
			t.Error(err)
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				time.Sleep(time.Millisecond)
				if err := c.barrier(); !errors.Is(err, syscall.EIO) {
					t.Errorf("waiter got %v", err)
				}
			})
		}
		wg.Wait()
		synced := false
		err := c.commit(func() error { synced = true; return nil })
		if !errors.Is(err, syscall.EIO) || synced {
			t.Errorf("fsync after the error: %v", err)
		}
		if err := c.barrier(); !errors.Is(err, syscall.EIO) || *passes != 2 {
			t.Errorf("barrier after the error: %v, %d passes", err, *passes)
		}
	})
}

// TestFailedFsync holds which errors of one file are errors of the disk.
func TestFailedFsync(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		err    error
		breaks bool
	}{
		{"input/output error", &os.PathError{Err: syscall.EIO}, true},
		{"full disk", &os.PathError{Err: syscall.ENOSPC}, false},
		{"over quota", &os.PathError{Err: syscall.EDQUOT}, false},
	} {
		c, _ := newFakeCommits(nil)
		if err := c.commit(func() error { return tt.err }); !errors.Is(err, tt.err) {
			t.Errorf("%s: commit gave %v", tt.rule, err)
		}
		if broken := c.state() != nil; broken != tt.breaks {
			t.Errorf("%s: breaks the tree: %t, want %t", tt.rule, broken, tt.breaks)
		}
	}
}

// TestCommitGoesWithTheCrowd holds that few callers fsync and many share.
func TestCommitGoesWithTheCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, passes := newFakeCommits(func(int) error { return nil })
		fsyncs := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		burst := func(n int) {
			for range n {
				wg.Go(func() {
					err := c.commit(func() error {
						mu.Lock()
						fsyncs++
						mu.Unlock()
						time.Sleep(time.Second)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		burst(crowd - 1)
		if fsyncs != crowd-1 || *passes != 0 {
			t.Errorf("few callers: %d fsyncs, %d passes", fsyncs, *passes)
		}
		burst(100)
		if fsyncs != 2*(crowd-1) || *passes != 2 {
			t.Errorf("many callers: %d fsyncs, %d passes", fsyncs, *passes)
		}
	})
}

// TestPace feeds the costs of the two ways and counts how often each is taken.
func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace()
	run := func(windows int, fsyncCost, sharedCost time.Duration) (shared int) {
		cost := [numWays]time.Duration{fsyncCost, sharedCost}
		for range windows {
			w := p.choose()
			for n := p.windows; n == p.windows; {
				p.took(w, 20*cost[w], 20)
			}
			if w == sharedPass {
				shared++
			}
		}
		return shared
	}
	for _, tt := range []struct {
		rule          string
		fsync, shared time.Duration
		min, max      int // windows of 160 that are shared
	}{
		{"sharing is faster", 2 * time.Millisecond, time.Millisecond, 148, 150},
		{"fsync is faster, for instance while somebody else fills the disk", time.Millisecond, 5 * time.Millisecond, 10, 16},
		{"sharing is faster again", 2 * time.Millisecond, time.Millisecond, 50, 150},
	} {
		if got := run(160, tt.fsync, tt.shared); got < tt.min || got > tt.max {
			t.Errorf("%s: shared in %d of 160 windows, want %d to %d", tt.rule, got, tt.min, tt.max)
		}
	}
	late := ownFsync
	if p.choose() == ownFsync {
		late = sharedPass
	}
	p.took(late, time.Hour, 1)
	if p.cost != 0 {
		t.Error("a commit of an earlier window counts in this one")
	}
}
