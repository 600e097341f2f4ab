// Package spool holds the content of one message from end-of-data until it is
// delivered: small messages in memory, others in a file that has no name.
//
// The file is unlinked as soon as it is open, so nothing is left when the
// process ends, however it ends. A power cut can leave a name; New removes such
// files. Spooled content is not durable and need not be: the client has had no
// reply yet.
package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"gomaild/internal/durable"
)

const (
	defaultMemory = 256 << 10
	chunkSize     = 32 << 10
	prefix        = "incoming-" // of names in the directory
	maxEmptyReads = 100         // in a row, then io.ErrNoProgress
)

// Config is where and how much. FS is required.
type Config struct {
	FS     durable.FS
	Dir    string // directory of FS for large messages, made if it is missing; default "."
	Memory int64  // octets of one message that are held in memory; default 256 KiB, at least one chunk of 32 KiB
}

// Spool makes Contents. It is safe for concurrent use.
type Spool struct {
	dir    durable.FS
	memory int64
	chunks sync.Pool // of *chunk, so that a busy server allocates nothing for a message
}

type chunk [chunkSize]byte

// New opens a spool and removes what an earlier one left after a power cut.
func New(c Config) (*Spool, error) {
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Memory <= 0 {
		c.Memory = defaultMemory
	}
	if err := durable.MkdirAll(c.FS, c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	dir, err := c.FS.Sub(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{dir: dir, memory: max(c.Memory, chunkSize)}
	s.chunks.New = func() any { return new(chunk) }
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("clean the spool: %w", errors.Join(err, dir.Close()))
	}
	return s, nil
}

func (s *Spool) clean() error {
	names, err := s.dir.ReadDirNames(".")
	if err != nil {
		return err
	}
	for _, n := range names {
		if !strings.HasPrefix(n, prefix) {
			continue
		}
		if err := s.unlink(n); err != nil {
			return err
		}
	}
	return nil
}

// unlink forgives that the name is gone: another process that opens the same
// spool (gomaild deliver) may have cleaned it in the moment between making and
// unlinking.
func (s *Spool) unlink(name string) error {
	if err := s.dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Close closes the directory. Contents must have been closed.
func (s *Spool) Close() error { return s.dir.Close() }

// Read reads r to its end and holds what it gave. An error of r is returned as
// it is; of the disk, wrapped (syscall.ENOSPC is worth a look). After an error
// nothing is held.
func (s *Spool) Read(r io.Reader) (*Content, error) {
	c := &Content{spool: s}
	if err := c.fill(r); err != nil {
		if closeErr := c.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
		return nil, err
	}
	return c, nil
}

// Content is one spooled message.
type Content struct {
	spool  *Spool
	size   int64
	chunks []*chunk     // all but the last are full; unless there is a file
	file   durable.File // nil for a message in memory
	closed bool
}

// Size is the size in octets.
func (c *Content) Size() int64 { return c.size }

// fill reads r to its end.
func (c *Content) fill(r io.Reader) error {
	for {
		buf := c.spool.chunks.Get().(*chunk) //nolint:forcetypeassert // only chunks are put there
		n, readErr := readFull(r, buf[:])
		if err := c.add(buf, n); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		if readErr == io.EOF { //nolint:errorlint // a wrapped EOF is a fault of the reader
			return nil
		}
		if readErr != nil {
			return readErr
		}
	}
}

// readFull fills p. Other than io.ReadFull it returns the reader's own error,
// whatever was read: io.ErrUnexpectedEOF is a lost connection here.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; {
		var m int
		m, err = r.Read(p[n:])
		n += m
		if m > 0 {
			empty = 0
		} else if empty++; empty >= maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// add takes buf over, whose first n octets are the next of the message.
func (c *Content) add(buf *chunk, n int) error {
	if n > 0 && c.file == nil && c.size+int64(n) <= c.spool.memory {
		c.chunks = append(c.chunks, buf)
		c.size += int64(n)
		return nil
	}
	defer c.spool.chunks.Put(buf)
	if n == 0 {
		return nil
	}
	if err := c.spill(); err != nil {
		return err
	}
	_, err := c.file.Write(buf[:n])
	c.size += int64(n)
	return err
}

// spill moves what is in memory to a file without a name, if it is not there
// yet. All chunks are full: only the last of a message is not.
func (c *Content) spill() error {
	if c.file != nil {
		return nil
	}
	name := prefix + rand.Text()
	f, err := c.spool.dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	c.file = f
	if err := c.spool.unlink(name); err != nil {
		return err
	}
	for _, b := range c.chunks {
		if _, err := f.Write(b[:]); err != nil {
			return err
		}
	}
	c.release()
	return nil
}

func (c *Content) release() {
	for _, b := range c.chunks {
		c.spool.chunks.Put(b)
	}
	c.chunks = nil
}

// ReadAt implements io.ReaderAt. After Close it returns fs.ErrClosed.
func (c *Content) ReadAt(p []byte, off int64) (n int, err error) {
	switch {
	case c.closed:
		return 0, fs.ErrClosed
	case off < 0:
		return 0, fs.ErrInvalid
	case c.file != nil:
		return c.file.ReadAt(p, off)
	}
	for n < len(p) && off < c.size {
		end := min(c.size-off/chunkSize*chunkSize, chunkSize)
		m := copy(p[n:], c.chunks[off/chunkSize][off%chunkSize:end])
		n += m
		off += int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close lets go of the memory or the file. Nobody reads at that time.
func (c *Content) Close() error {
	if c.closed {
		return fs.ErrClosed
	}
	c.closed = true
	c.release()
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}
