package pop3

import (
	"context"
	"fmt"
	"strings"
)

// capa is CAPA, RFC 2449 section 5. What needs a password sent as it is is
// named only where that is allowed.
func (s *session) capa(context.Context, string) error {
	s.ok("Capabilities follow")
	lines := []string{"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8 USER"}
	if s.mayStartTLS() {
		lines = append(lines, "STLS")
	}
	if s.mayUsePlaintext() {
		lines = append(lines, "USER", "SASL "+strings.Join(s.srv.cfg.Auth.Mechanisms(), " "))
	}
	lines = append(lines, "IMPLEMENTATION gomaild")
	for _, l := range lines {
		fmt.Fprintf(s.line.Out, "%s\r\n", l)
	}
	s.end()
	return nil
}

// utf8Mode is UTF8, RFC 6856 section 2. Messages are sent as they are stored in
// either mode: what the sender wrote in UTF-8 cannot be said otherwise without
// breaking signatures, and Dovecot does the same.
func (s *session) utf8Mode(context.Context, string) error {
	s.ok("UTF8 enabled")
	return nil
}
