package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// commits is the group commit of one file system, shared by a Root and its
// Subs.
type commits struct {
	syncfs   func() error
	dir      *os.File // open as long as the Root: see syncfs
	inFlight atomic.Int64
	pace     *pace

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
	c := &commits{dir: dir, pace: newPace()}
	c.ended.L = &c.mu
	c.syncfs = func() error { return syncfs(dir) }
	return c
}

func syncfs(dir *os.File) error { return withDescriptor(dir, unix.Syncfs) }

func fdatasync(f *os.File) error { return withDescriptor(f, unix.Fdatasync) }

// withDescriptor makes a system call on an open file, again while signals
// interrupt it.
func withDescriptor(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for failed = unix.EINTR; failed == unix.EINTR; {
			failed = call(int(fd))
		}
	})
	if err != nil {
		return fs.ErrClosed // the only reason it has
	}
	return failed
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
	if n < crowd {
		return c.alone(fsync)
	}
	w, start := c.pace.choose(), time.Now()
	var err error
	if w == sharedPass {
		err = c.sharedPass()
	} else {
		err = c.alone(fsync)
	}
	c.pace.took(w, time.Since(start), n)
	return err
}

// own makes one file durable with a call of its own, whoever else waits.
func (c *commits) own(fsync func() error) error {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.closed {
		return fs.ErrClosed
	}
	return c.alone(fsync)
}

// alone calls fsync for one file. An input/output error is one of the disk: it
// breaks the tree, as in a pass.
func (c *commits) alone(fsync func() error) error {
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

// state is the error that broke the file system, or nil.
func (c *commits) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}
