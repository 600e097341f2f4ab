package pop3

import (
	"context"
	"fmt"
)

func (s *session) mayStartTLS() bool {
	return s.srv.cfg.TLS != nil && !s.line.IsTLS() && s.state == authorization
}

// stls is STLS, RFC 2595 section 4. Everything said before it is forgotten.
func (s *session) stls(ctx context.Context, _ string) error {
	if !s.mayStartTLS() {
		return fail("TLS is not possible here")
	}
	if s.line.In.Buffered() > 0 {
		// Somebody on the way may have put it there for us to take as if it
		// had come encrypted. No client does it.
		s.bye("", "Data came after STLS before its answer")
		return nil
	}
	s.ok("Begin TLS negotiation now")
	if err := s.line.Upgrade(ctx, s.loginBy, s.srv.cfg.TLS); err != nil {
		return fmt.Errorf("STLS: %w", err)
	}
	s.user = ""
	return nil
}
