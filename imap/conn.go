package imap

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// input is the session's connection for reading. Nothing that the client may
// be waiting for stays in the buffer while the session waits for the client.
type input struct{ s *session }

// Read implements io.Reader.
func (in input) Read(p []byte) (int, error) {
	s := in.s
	if err := s.enc.Flush(); err != nil {
		return 0, err
	}
	if !s.gate.IsWaiting() {
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
	switch c := conn.(type) {
	case *deflatedConn:
		return isTLS(c.Conn)
	case *restConn:
		return isTLS(c.Conn)
	}
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
