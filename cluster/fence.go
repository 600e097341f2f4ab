package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"gomaild/internal/durable"
)

// StaleError is what Fence returns once another start has raised the epoch: this
// process was taken over from. It never goes away.
type StaleError struct {
	Own Record
	Now Record // the zero value where the file was damaged
}

// Error names both.
func (e *StaleError) Error() string {
	return fmt.Sprintf("the mail root was taken over (%v); this was %v", e.Now, e.Own)
}

// window is how long an answer of the disk itself covers what begins after it. It
// bounds what a paused machine does between its waking and its next look; a
// takeover takes a hundred times as long. The page cache, which knows of every
// start under the same kernel, is asked each time.
const window = 10 * time.Millisecond

// Fence is nil as long as no other start has raised the epoch. It costs a read of
// the page cache, and one of the disk each 10 ms at most. *StaleError means that
// nothing may be answered for, renamed or numbered any more: the process has to
// end. Any other error is the disk's: the same goes for this one act.
func (h *Hold) Fence() error {
	if stale := h.stale.Load(); stale != nil {
		return stale
	}
	came := h.now()
	if h.covered(came) {
		return nil
	}
	h.looking <- struct{}{}
	defer func() { <-h.looking }()
	if h.covered(came) {
		return nil // by who looked while we waited
	}
	begun := h.now()
	last, err := h.read()
	switch {
	case err == nil && last.Epoch == h.record.Epoch:
		h.learn(begun)
		return nil
	case err != nil && !errors.Is(err, ErrDamaged):
		return fmt.Errorf("read the epoch: %w", err)
	}
	stale := &StaleError{Own: h.record, Now: last}
	if h.stale.CompareAndSwap(nil, stale) {
		close(h.lost)
	}
	return stale
}

// covered reports that the page cache has what the disk had in a look that began
// within the window before who came at that time, or since. It never waits for the
// disk; on a slow one, all who wait for a look share it.
func (h *Hold) covered(came time.Time) bool {
	h.asking.Lock()
	defer h.asking.Unlock()
	if h.asked.IsZero() || came.Sub(h.asked) >= window {
		return false
	}
	_, err := h.cached.ReadAt(h.scratch, 0)
	return err == nil && bytes.Equal(h.scratch, h.known)
}

// learn notes what a look that began then has found. looking is held.
func (h *Hold) learn(begun time.Time) {
	h.asking.Lock()
	defer h.asking.Unlock()
	h.asked = begun
	copy(h.known, h.block)
}

// Err is the *StaleError that Fence has found, else nil. It asks no disk.
func (h *Hold) Err() error {
	if stale := h.stale.Load(); stale != nil {
		return stale
	}
	return nil
}

func (h *Hold) read() (Record, error) {
	n, err := h.epoch.ReadAt(h.block, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Record{}, err
	}
	return decode(h.block[:n])
}

// openEpoch opens the file for reading past the page cache, where the file
// system can.
func openEpoch(c Config) (durable.File, error) {
	f, err := c.FS.OpenFile(epochFile(c), os.O_RDONLY|syscall.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) {
		return c.FS.OpenFile(epochFile(c), os.O_RDONLY, 0)
	}
	return f, err
}

// alignedBlock is memory that O_DIRECT takes.
func alignedBlock() []byte {
	b := make([]byte, 2*blockSize)
	off := int(-uintptr(unsafe.Pointer(&b[0])) & (blockSize - 1)) // the collector moves no heap
	return b[off : off+blockSize]
}
