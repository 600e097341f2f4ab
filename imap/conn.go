package imap

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// What ends a wait for the client besides its input or an error.
var (
	errWoken    = errors.New("woken")    // gate.wake was called
	errDeadline = errors.New("deadline") // the wait's time is over
)

// longAgo makes a blocked read return at once when it is set as deadline.
var longAgo = time.Unix(1, 0)

// gate is where a session waits for its client. Another goroutine can wake it
// there, and only there: a command that is being read or run is not disturbed,
// and a wake that comes meanwhile is kept for the next wait.
type gate struct {
	mu      sync.Mutex
	conn    net.Conn
	waiting bool
	woken   bool
}

// wake ends the present or else the next wait with errWoken.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.woken = true
	if g.waiting {
		_ = g.conn.SetReadDeadline(longAgo) // a closed connection wakes by itself
	}
}

// wait runs read, which blocks on the connection, until deadline.
func (g *gate) wait(deadline time.Time, read func() error) error {
	if !g.open(deadline) {
		return errWoken
	}
	err := read()
	g.mu.Lock()
	defer g.mu.Unlock()
	woken := g.woken
	g.waiting, g.woken = false, false
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		g.woken = woken && err == nil // input came first: the wake waits its turn
		return err
	}
	if woken {
		return errWoken
	}
	return errDeadline
}

func (g *gate) open(deadline time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.woken {
		g.woken = false
		return false
	}
	g.waiting = true
	_ = g.conn.SetReadDeadline(deadline)
	return true
}

// replace makes conn, which is TLS over the present one, the connection.
func (g *gate) replace(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
}

// isWaiting reports that the reads that happen are those of a wait, whose
// deadline must stand.
func (g *gate) isWaiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// input is the session's connection for reading. Nothing that the client may
// be waiting for stays in the buffer while the session waits for the client.
type input struct{ s *session }

// Read implements io.Reader.
func (in input) Read(p []byte) (int, error) {
	s := in.s
	if err := s.enc.Flush(); err != nil {
		return 0, err
	}
	if !s.gate.isWaiting() {
		_ = s.conn.SetReadDeadline(s.readDeadline())
	}
	return s.conn.Read(p)
}

// output is the session's connection for writing, with a deadline for clients
// that read nothing.
type output struct{ s *session }

// Write implements io.Writer.
func (out output) Write(p []byte) (int, error) {
	s := out.s
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout))
	return s.conn.Write(p)
}

// readDeadline is for an octet inside a command. Before the login the time
// runs from the connection, so that a slow trickle gains nothing.
func (s *session) readDeadline() time.Time {
	if s.state == notAuthenticated {
		return s.loginBy
	}
	return time.Now().Add(s.limits.StallTimeout)
}

// isTLS asks for what a TLS connection can do, not for its type: it may be
// wrapped.
func isTLS(conn net.Conn) bool {
	_, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

// peerAddr is the client's address, invalid on a unix socket or a pipe.
func peerAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
