package pop3

import (
	"context"
	"crypto/tls"
	"fmt"
)

func (s *session) mayStartTLS() bool {
	return s.srv.cfg.TLS != nil && !s.line.isTLS() && s.state == authorization
}

// stls is STLS, RFC 2595 section 4. Everything said before it is forgotten.
func (s *session) stls(ctx context.Context, _ string) error {
	if !s.mayStartTLS() {
		return fail("TLS is not possible here")
	}
	if s.line.in.Buffered() > 0 {
		// Somebody on the way may have put it there for us to take as if it
		// had come encrypted. No client does it.
		s.bye("", "Data came after STLS before its answer")
		return nil
	}
	s.ok("Begin TLS negotiation now")
	if err := s.line.out.Flush(); err != nil {
		return err
	}
	conn := tls.Server(s.line.conn, s.srv.cfg.TLS)
	_ = s.line.conn.SetWriteDeadline(s.loginBy)
	if err := s.line.gate.Wait(s.loginBy, func() error { return conn.HandshakeContext(ctx) }); err != nil {
		return fmt.Errorf("STLS: %w", err)
	}
	s.secure, s.user = conn, ""
	s.line.attach(conn)
	return nil
}
