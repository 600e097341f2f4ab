package imap

import (
	"compress/flate"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"gomaild/internal/inflate"
)

// compress is COMPRESS DEFLATE, RFC 4978.
type compress struct{}

func parseCompress(g *grammar) request {
	g.SP()
	if g.Word() != "DEFLATE" {
		g.Fail("unknown compression")
	}
	g.End()
	return compress{}
}

func (compress) run(_ context.Context, s *session) (reply, error) {
	switch {
	case s.deflated != nil:
		return reply{}, no("COMPRESSIONACTIVE", "DEFLATE is active") // RFC 4978 section 3
	case s.dec.Buffered() > 0:
		return reply{}, bad("Commands came after COMPRESS before its answer")
	}
	return reply{text: "DEFLATE active", after: s.deflate}, nil
}

// deflate compresses what comes after the reply.
func (s *session) deflate(context.Context) error {
	if err := s.enc.Flush(); err != nil {
		return err
	}
	s.deflated = newDeflatedConn(s.conn, &s.srv.deflaters)
	s.attach(s.deflated)
	return nil
}

// deflatedConn is a connection both of whose directions are DEFLATE streams.
//
// A decompressor that was interrupted cannot go on, and sessions interrupt
// their reads all the time (package gate). So a goroutine reads the
// connection, and the session reads a pipe, which has deadlines of its own.
// Compressors are large: each write borrows one, and begins with an empty
// window, so an idle connection has none.
type deflatedConn struct {
	net.Conn            // below
	pipe     net.Conn   // what was decompressed
	pool     *sync.Pool // of *flate.Writer
	reading  sync.WaitGroup
	rest     []byte // what was read behind the stream; of the goroutine, until reading is done
}

// newDeflatedConn reads conn until stop.
func newDeflatedConn(conn net.Conn, pool *sync.Pool) *deflatedConn {
	inside, outside := net.Pipe()
	d := &deflatedConn{Conn: conn, pipe: outside, pool: pool}
	_ = conn.SetReadDeadline(time.Time{}) // the pipe's deadlines count from here on
	d.reading.Go(func() {
		d.rest, _ = inflate.CopyRest(inside, conn) // whatever ends it, the session reads EOF
		_ = inside.Close()
	})
	return d
}

// stop ends the goroutine; the connection below stays open.
func (d *deflatedConn) stop() {
	_ = d.pipe.Close()
	_ = d.Conn.SetReadDeadline(time.Unix(1, 0))
	d.reading.Wait()
}

// inflated ends the compression in both directions: the answer to UNAUTHENTICATE
// was the last that is compressed, and so was the command (RFC 8437 section 4.1).
// What the client has sent since is read first.
func (s *session) inflated(context.Context) error {
	if err := s.enc.Flush(); err != nil {
		return err
	}
	s.deflated.stop()
	conn := s.deflated.Conn
	if len(s.deflated.rest) > 0 {
		conn = &restConn{Conn: conn, rest: s.deflated.rest}
	}
	s.deflated = nil
	s.attach(conn)
	return nil
}

// restConn is a connection of which something was read already.
type restConn struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (r *restConn) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Read implements net.Conn.
func (d *deflatedConn) Read(p []byte) (int, error) { return d.pipe.Read(p) }

// SetReadDeadline implements net.Conn.
func (d *deflatedConn) SetReadDeadline(t time.Time) error { return d.pipe.SetReadDeadline(t) }

// Write implements net.Conn. What is written can be read at once.
func (d *deflatedConn) Write(p []byte) (int, error) {
	w, ok := d.pool.Get().(*flate.Writer)
	if ok {
		w.Reset(d.Conn)
	} else {
		w, _ = flate.NewWriter(d.Conn, flate.DefaultCompression) // the level is good: no error
	}
	defer func() {
		w.Reset(io.Discard)
		d.pool.Put(w)
	}()
	if _, err := w.Write(p); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}
