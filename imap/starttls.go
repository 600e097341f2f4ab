package imap

import (
	"context"
	"crypto/tls"
	"fmt"
)

// startTLS is STARTTLS, RFC 3501 section 6.2.1.
type startTLS struct{}

func (s *session) mayStartTLS() bool {
	return s.srv.cfg.TLS != nil && !isTLS(s.conn) && s.deflated == nil
}

func (startTLS) run(_ context.Context, s *session) (reply, error) {
	if !s.mayStartTLS() {
		return reply{}, bad("TLS is not possible here")
	}
	if s.dec.Buffered() > 0 {
		// Somebody on the way may have put it there for us to take as if it
		// had come encrypted. No client does it.
		s.bye("Data came after STARTTLS before its answer")
		return reply{}, nil
	}
	return reply{text: "Begin TLS negotiation now", after: s.upgrade}, nil
}

// upgrade does the handshake. Everything learned before it is forgotten with
// the decoder. It must be done by the time of the login, and a drain ends it.
func (s *session) upgrade(ctx context.Context) error {
	if err := s.enc.Flush(); err != nil {
		return err
	}
	conn := tls.Server(s.conn, s.srv.cfg.TLS)
	_ = s.conn.SetWriteDeadline(s.loginBy)
	err := s.gate.Wait(s.loginBy, func() error { return conn.HandshakeContext(ctx) })
	if err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	s.secure = conn
	s.attach(conn)
	return nil
}
