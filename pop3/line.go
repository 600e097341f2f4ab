package pop3

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"gomaild/internal/gate"
	"gomaild/internal/peer"
)

// errLongLine is a line over its limit; the whole of it was read past.
var errLongLine = errors.New("line is too long")

// bufferSize is of input and of output, in octets.
const bufferSize = 4 << 10

// line is the client's connection. Output is sent when all input is used up,
// so that pipelined commands are answered together (RFC 2449 section 6.8).
type line struct {
	gate   gate.Gate
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	limits *Limits
}

func (l *line) attach(conn net.Conn) {
	l.conn = conn
	l.gate.Replace(conn)
	l.in = bufio.NewReaderSize(conn, bufferSize)
	l.out = bufio.NewWriterSize(deadlineWriter{conn, l.limits.WriteTimeout}, bufferSize)
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

// read waits for a line of at most limit octets and returns it without its
// line end, LF or CRLF. errLongLine, an error of package gate, or the
// connection's.
func (l *line) read(deadline time.Time, limit int) (string, error) {
	if err := l.out.Flush(); err != nil {
		return "", err
	}
	var text []byte
	err := l.gate.Wait(deadline, func() (err error) {
		text, err = l.readLine(limit)
		return err
	})
	return string(text), err
}

func (l *line) readLine(limit int) ([]byte, error) {
	var text []byte
	for {
		part, err := l.in.ReadSlice('\n')
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
			return nil, errLongLine
		default:
			return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
		}
	}
}

// isTLS asks for what a TLS connection can do, not for its type.
func (l *line) isTLS() bool {
	_, ok := l.conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

func (l *line) addr() netip.Addr { return peer.Addr(l.conn.RemoteAddr()) }
