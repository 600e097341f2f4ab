package imap

import (
	"context"
	"net/netip"
	"time"

	"gomaild/auth"
)

// unauthenticate is UNAUTHENTICATE, RFC 8437: the connection is as it was
// before the login, but for its TLS.
type unauthenticate struct{}

func (unauthenticate) run(_ context.Context, s *session) (reply, error) {
	if s.srv.cfg.NoUnauthenticate {
		return reply{}, bad("unknown command")
	}
	s.unlisten()
	if s.box != nil {
		s.deselect()
	}
	s.warn("close account", s.account.Close())
	s.srv.cfg.Changes.exit(s.accountName())
	s.account, s.identity = nil, auth.Identity{}
	s.enabled, s.origin = 0, netip.Addr{}
	s.speakUTF8()
	s.state, s.log = notAuthenticated, s.baseLog
	s.loginBy = time.Now().Add(s.limits.LoginTimeout)
	if s.deflated != nil {
		return reply{after: s.inflated}, nil
	}
	return reply{}, nil
}
