package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Two ways lead to the disk. fsync(2) of one file waits for one journal commit
// and is the fastest for a few callers, whose commits the kernel joins.
// syncfs(2) writes back the whole file system, and one pass serves everybody
// who was waiting when it started. Measured on ext4 (BenchmarkDelivery), fsync
// leads up to about a dozen callers and loses beyond; so a caller looks how
// many wait and goes with the crowd.
const (
	shareFrom  = 20 // callers in flight from which a pass is shared
	shareAgain = 12 // the same while passes are being shared: mixing the ways is slower than either
)

// commits is the group commit of one file system, shared by a Root and its
// Subs.
type commits struct {
	syncfs   func() error
	dir      *os.File // open as long as the Root: see syncfs
	inFlight atomic.Int64
	sharing  atomic.Bool

	gate   sync.RWMutex // read-locked by those at work, so that close can wait for them
	closed bool

	mu      sync.Mutex
	ended   sync.Cond // a pass ended
	running bool
	started int64 // passes begun
	done    int64 // passes ended; they run one after the other
	broken  error
}

// newCommits takes dir over. Since Linux 5.8 syncfs(2) reports write-back
// errors of the whole file system, but to each descriptor only those since it
// was opened, and each once. So one descriptor is opened at the start and asked
// for ever: no error can fall between two of them.
func newCommits(dir *os.File) *commits {
	c := &commits{dir: dir}
	c.ended.L = &c.mu
	c.syncfs = func() error { return syncfs(dir) }
	return c
}

func syncfs(dir *os.File) error {
	conn, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for failed = unix.EINTR; failed == unix.EINTR; {
			failed = unix.Syncfs(int(fd))
		}
	})
	return errors.Join(err, failed)
}

// close waits for the callers at work: os.File.Close alone would return before
// a running fsync has let go of the mount.
func (c *commits) close() error {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.closed = true
	return c.dir.Close()
}

// barrier makes durable what happened before the call.
func (c *commits) barrier() error {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.closed {
		return fs.ErrClosed
	}
	return c.sharedPass()
}

// sharedPass returns after a pass that started after the call. The first who
// finds no pass running runs the next one for all who wait.
func (c *commits) sharedPass() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.started + 1
	for c.done < mine && c.broken == nil {
		if c.running {
			c.ended.Wait()
			continue
		}
		c.pass()
	}
	return c.broken
}

// pass runs one syncfs with c.mu released. After an error the kernel may have
// dropped the pages it could not write and marked them clean, so that a later
// pass would say "well" about data that is lost. Therefore the first error
// stays until the tree is opened anew.
func (c *commits) pass() {
	c.running = true
	c.started++
	c.mu.Unlock()
	err := c.syncfs()
	c.mu.Lock()
	c.running = false
	c.done = c.started
	if err != nil {
		c.breakWith(err)
	}
	c.ended.Broadcast()
}

func (c *commits) breakWith(err error) {
	if c.broken == nil {
		c.broken = fmt.Errorf("file system lost writes: %w", err)
	}
}

// commit makes one file or directory durable in the way that is fastest for
// the present number of callers; fsync is the way of one.
func (c *commits) commit(fsync func() error) error {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.closed {
		return fs.ErrClosed
	}
	n := c.inFlight.Add(1)
	defer c.inFlight.Add(-1)
	if c.share(n) {
		return c.sharedPass()
	}
	if err := c.state(); err != nil {
		return err
	}
	err := fsync()
	if errors.Is(err, unix.EIO) {
		c.mu.Lock()
		c.breakWith(err)
		c.mu.Unlock()
	}
	return err
}

func (c *commits) share(inFlight int64) bool {
	limit := int64(shareFrom)
	if c.sharing.Load() {
		limit = shareAgain
	}
	share := inFlight >= limit
	if share != c.sharing.Load() {
		c.sharing.Store(share)
	}
	return share
}

// state is the error that broke the file system, or nil.
func (c *commits) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}
