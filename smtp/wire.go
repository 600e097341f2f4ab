package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of buffers, in octets. A connection that waits for a command holds
// smallBuffer; content in flight, and lines longer than that, borrow bigBuffer
// from the server's pool.
const (
	smallBuffer = 4 << 10
	bigBuffer   = 32 << 10
	maxUnsent   = 4 << 10 // replies that may wait for the input to be used up
)

// How a wire ends. Every other error of a wire is one of the network.
var (
	errTimeout  = errors.New("the client was silent for too long")
	errUnread   = errors.New("the client does not take our replies")
	errTooSlow  = errors.New("content came too slowly")
	errDraining = errors.New("the server is stopping")
)

// What readLine finds wrong with a line. The session goes on.
var (
	errBareLF   = errors.New("a bare LF in a command line")
	errLongLine = errors.New("command line too long")
)

// wire is the client's end of the line: input and output with their buffers
// and deadlines. Replies are collected and sent when all input is used up, so
// that pipelined commands are answered together (RFC 2920 section 3.2).
//
// After the first error of the network nothing more is read or written: there
// is no way in which half a message could become commands.
type wire struct {
	conn   net.Conn
	limits Limits
	pool   *sync.Pool
	err    error // the first error, for ever

	small []byte
	big   *[bigBuffer]byte // borrowed, or nil
	buf   []byte           // small or big
	r, w  int              // buf[r:w] is read and not yet used
	skip  bool             // what comes is the rest of a broken line, up to CRLF

	out []byte

	inContent bool          // content is in flight: drain lets it finish
	waited    time.Duration // for octets of this content
	received  int64         // octets of it that came in that time

	mu       sync.Mutex
	draining bool // guarded by mu
	waiting  bool // guarded by mu: in a read that drain may interrupt
}

func newWire(conn net.Conn, pool *sync.Pool, limits Limits) *wire {
	small := make([]byte, smallBuffer)
	return &wire{conn: conn, limits: limits, pool: pool, small: small, buf: small}
}

// release gives back what was borrowed.
func (w *wire) release() {
	if w.big != nil {
		w.pool.Put(w.big)
		w.big = nil
	}
}

// Buffered is how many octets the client sent ahead.
func (w *wire) Buffered() int { return w.w - w.r }

// Peek is reply.Window's, for content: its deadline is for each read, so a slow
// and steady sender passes, and one that drips does not.
func (w *wire) Peek(n int) ([]byte, error) {
	for w.w-w.r < n {
		if err := w.fill(time.Now().Add(w.limits.DataTimeout)); err != nil {
			return nil, err
		}
	}
	return w.buf[w.r : w.r+n], nil
}

// Discard is reply.Window's.
func (w *wire) Discard(n int) (int, error) {
	if n > w.w-w.r {
		return 0, io.ErrShortBuffer
	}
	w.r += n
	return n, nil
}

// readLine reads one command line and returns it without its CRLF, valid until
// the next read. limit says how long a line that begins so may be, with CRLF.
//
// errLongLine comes after the whole line was thrown away. errBareLF comes at
// once, since a client that ends its lines in LF would wait for ever; what
// follows up to the next CRLF is part of the broken line and is thrown away.
func (w *wire) readLine(limit func(start []byte) int) ([]byte, error) {
	deadline := time.Now().Add(w.limits.CommandTimeout)
	long := false
	for scanned := 0; ; {
		b := w.buf[w.r:w.w]
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			line, whole := bytes.CutSuffix(b[:scanned+i], []byte("\r"))
			w.r += scanned + i + 1
			switch {
			case !whole:
				w.skip = true
				return nil, errBareLF
			case w.skip:
				w.skip, long, scanned = false, false, 0
				continue
			case long || len(line)+2 > limit(line):
				return nil, errLongLine
			}
			return line, nil
		}
		scanned = len(b)
		if w.skip || len(b) > limit(b) {
			long = long || !w.skip
			scanned = w.dropLine()
		}
		if err := w.fill(deadline); err != nil {
			return nil, err
		}
	}
}

// dropLine throws away what has come of a line, but for a CR at its end, whose
// LF may be next. It returns how many octets remain.
func (w *wire) dropLine() int {
	keep := 0
	if w.w > w.r && w.buf[w.w-1] == '\r' {
		keep = 1
	}
	w.r = w.w - keep
	return keep
}

// beginContent says that content comes, which drain is to let finish.
func (w *wire) beginContent() { w.inContent, w.waited, w.received = true, 0, 0 }

// endContent says that commands come again.
func (w *wire) endContent() { w.inContent = false }

// fill reads more input, after sending the replies that wait.
func (w *wire) fill(deadline time.Time) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.makeRoom()
	if err := w.beginRead(deadline); err != nil {
		return w.fail(err)
	}
	began := time.Now()
	n, err := w.conn.Read(w.buf[w.w:])
	w.endRead()
	w.w += n
	if n == 0 && err != nil {
		return w.fail(err)
	}
	return w.checkRate(time.Since(began), n)
}

// checkRate ends a connection whose content drips, by octets or by chunks.
func (w *wire) checkRate(waited time.Duration, received int) error {
	if !w.inContent {
		return nil
	}
	w.waited += waited
	w.received += int64(received)
	if w.waited <= w.limits.DataTimeout || w.limits.MinRate < 0 {
		return nil
	}
	if w.received < int64(w.waited.Seconds())*w.limits.MinRate {
		return w.fail(errTooSlow)
	}
	return nil
}

// makeRoom moves what is unused to the front of a buffer of the right size.
func (w *wire) makeRoom() {
	unused := w.buf[w.r:w.w]
	switch {
	case w.big == nil && (w.inContent || len(unused) == len(w.small)):
		w.big, _ = w.pool.Get().(*[bigBuffer]byte)
		w.buf = w.big[:]
	case w.big != nil && !w.inContent && len(unused) < len(w.small):
		w.buf = w.small
		defer w.release()
	}
	w.w = copy(w.buf, unused)
	w.r = 0
}

// fail makes err the end of the wire.
func (w *wire) fail(err error) error {
	if w.err != nil {
		return w.err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTimeout
		if w.isDraining() && !w.inContent {
			err = errDraining
		}
	}
	w.err = err
	return err
}

// replied sends the replies that wait once they are many. An error shows at
// the next read.
func (w *wire) replied() {
	if len(w.out) > maxUnsent {
		_ = w.flush()
	}
}

// flush sends the replies that wait.
func (w *wire) flush() error {
	if w.err != nil || len(w.out) == 0 {
		return w.err
	}
	err := w.send(time.Now().Add(w.limits.WriteTimeout))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return w.fail(errUnread)
	}
	if err != nil {
		return w.fail(fmt.Errorf("send replies: %w", err))
	}
	return nil
}

func (w *wire) send(deadline time.Time) error {
	if err := w.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// beginRead sets the deadline of a read, unless the server is stopping and the
// client is between messages.
func (w *wire) beginRead(deadline time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining && !w.inContent {
		return errDraining
	}
	w.waiting = !w.inContent
	return w.conn.SetReadDeadline(deadline)
}

func (w *wire) endRead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
}

// drain ends the wait for a command, now and from now on.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if w.waiting {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the read does too
	}
}

func (w *wire) isDraining() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining
}
