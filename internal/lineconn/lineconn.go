// Package lineconn is the connection of a protocol of lines, on the server's
// side: input in lines of limited length, and counted octets, output that is
// sent when all input is used up, deadlines both ways, and a wait that a drain
// can end (package gate).
package lineconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"gomaild/internal/gate"
	"gomaild/internal/peer"
)

// ErrLong is a line over its limit; the whole of it was read past.
var ErrLong = errors.New("line is too long")

// bufferSize is of input and of output, in octets.
const bufferSize = 4 << 10

// Conn is a connection. It belongs to one goroutine but for Gate.Wake.
type Conn struct {
	Gate gate.Gate
	In   *bufio.Reader
	Out  *bufio.Writer // an error of writing shows at the next Flush

	conn         net.Conn
	secure       net.Conn // the TLS of Upgrade
	writeTimeout time.Duration
}

// New is a Conn on conn, which its owner closes. A client that does not take
// what is written for writeTimeout is given up.
func New(conn net.Conn, writeTimeout time.Duration) *Conn {
	c := &Conn{writeTimeout: writeTimeout}
	c.attach(conn)
	return c
}

func (c *Conn) attach(conn net.Conn) {
	c.conn = conn
	c.Gate.Replace(conn)
	c.In = bufio.NewReaderSize(conn, bufferSize)
	c.Out = bufio.NewWriterSize(deadlineWriter{conn, c.writeTimeout}, bufferSize)
}

// Close ends the TLS that Upgrade began; the connection below is its owner's.
func (c *Conn) Close() {
	if c.secure != nil {
		_ = c.secure.Close()
	}
}

// deadlineWriter gives up on a client that reads nothing.
type deadlineWriter struct {
	conn    net.Conn
	timeout time.Duration
}

// Write implements io.Writer.
func (w deadlineWriter) Write(p []byte) (int, error) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout)) // if it fails, the write does too
	return w.conn.Write(p)
}

// wait sends what is to be sent and runs read until deadline.
func (c *Conn) wait(deadline time.Time, read func() error) error {
	if err := c.Out.Flush(); err != nil {
		return err
	}
	return c.Gate.Wait(deadline, read)
}

// ReadLine waits for a line of at most limit octets and returns it without its
// line end, LF or CRLF. ErrLong, an error of package gate, or the connection's.
func (c *Conn) ReadLine(deadline time.Time, limit int) (string, error) {
	var text []byte
	err := c.wait(deadline, func() (err error) {
		text, err = c.readLine(limit)
		return err
	})
	return string(text), err
}

func (c *Conn) readLine(limit int) ([]byte, error) {
	var text []byte
	for {
		part, err := c.In.ReadSlice('\n')
		if len(text)+len(part) <= limit {
			text = append(text, part...)
		} else {
			text = append(text[:0], make([]byte, limit+1)...) // remember only that it is too long
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err
		case len(text) > limit:
			return nil, ErrLong
		default:
			return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
		}
	}
}

// ReadOctets waits for n octets. What the client announced is not made room for
// before it comes.
func (c *Conn) ReadOctets(deadline time.Time, n int) ([]byte, error) {
	var b bytes.Buffer
	err := c.wait(deadline, func() error {
		_, err := io.CopyN(&b, c.In, int64(n))
		return err
	})
	return b.Bytes(), err
}

// Discard waits for n octets and forgets them.
func (c *Conn) Discard(deadline time.Time, n int64) error {
	return c.wait(deadline, func() error {
		_, err := io.CopyN(io.Discard, c.In, n)
		return err
	})
}

// Upgrade sends what is to be sent and goes on in TLS. Input that came before
// the handshake must have been refused: see Buffered of In.
func (c *Conn) Upgrade(ctx context.Context, deadline time.Time, cfg *tls.Config) error {
	if err := c.Out.Flush(); err != nil {
		return err
	}
	secure := tls.Server(c.conn, cfg)
	_ = c.conn.SetWriteDeadline(deadline) // if it fails, the handshake does too
	if err := c.Gate.Wait(deadline, func() error { return secure.HandshakeContext(ctx) }); err != nil {
		return err
	}
	c.secure = secure
	c.attach(secure)
	return nil
}

// IsTLS asks for what a TLS connection can do, not for its type.
func (c *Conn) IsTLS() bool {
	_, ok := c.conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

// Addr is the client's address; zero on a unix socket or a pipe.
func (c *Conn) Addr() netip.Addr { return peer.Addr(c.conn.RemoteAddr()) }
