package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gomaild/auth"
	"gomaild/internal/peer"
)

// login is LOGIN, RFC 3501 section 6.2.3.
type login struct {
	username, password string
}

func parseLogin(g *grammar) request {
	g.SP()
	username := g.AString()
	g.SP()
	password := g.AString()
	g.End()
	return login{username, password}
}

func (r login) run(ctx context.Context, s *session) (reply, error) {
	if !s.mayUsePlaintext() {
		return reply{}, errPrivacy
	}
	id, err := s.srv.cfg.Auth.Login(ctx, s.authClient(), r.username, r.password)
	if err != nil {
		return reply{}, s.loginFailed(err)
	}
	return s.loggedIn(ctx, id)
}

// errPrivacy: RFC 5530, PRIVACYREQUIRED.
var errPrivacy = no("PRIVACYREQUIRED", "Passwords are not taken without TLS")

// mayUsePlaintext reports whether a password may be sent as it is.
func (s *session) mayUsePlaintext() bool {
	cfg := &s.srv.cfg
	if cfg.PlaintextAuth || isTLS(s.conn) {
		return true
	}
	return s.isTrusted()
}

// isTrusted asks for the connection's own address, whomever it speaks for.
func (s *session) isTrusted() bool {
	return peer.In(s.srv.cfg.TrustedNetworks, peerAddr(s.conn))
}

// mayUse reports whether a SASL mechanism is offered. Those that never show
// the password need no TLS.
func (s *session) mayUse(mechanism string) bool {
	return s.mayUsePlaintext() || strings.HasPrefix(strings.ToUpper(mechanism), "SCRAM-")
}

func (s *session) authClient() auth.Client {
	addr := peerAddr(s.conn)
	if s.origin.IsValid() {
		addr = s.origin
	}
	return auth.Client{Addr: addr, Protocol: "imap", Session: s.id, OnTLS: isTLS(s.conn)}
}

// loggedIn opens the account of an identity that was granted.
func (s *session) loggedIn(ctx context.Context, id auth.Identity) (reply, error) {
	if !s.srv.cfg.Changes.enter(id.Account.String(), s.limits.UserSessions) {
		s.log.Warn("too many sessions of one user", "account", id.Account.String())
		return reply{}, no("LIMIT", "Too many sessions of this user")
	}
	account, err := s.srv.cfg.Accounts(ctx, id)
	if err != nil {
		s.srv.cfg.Changes.exit(id.Account.String())
		s.log.Error("open account", "account", id.Account.String(), "error", err)
		return reply{}, no("UNAVAILABLE", "Account cannot be opened now")
	}
	s.identity, s.account, s.state = id, account, authenticated
	s.log = s.log.With("account", id.Account.String())
	return reply{code: "CAPABILITY " + s.capabilities(), text: "Logged in"}, nil
}

// loginFailed counts a refusal and ends the session when there were too many;
// how long each takes, and what the log says of it, is the Authenticator's
// business.
func (s *session) loginFailed(err error) error {
	if !auth.IsOutcome(err) {
		err = fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	if errors.Is(err, auth.ErrUnavailable) {
		return err
	}
	s.loginFailures++
	if s.loginFailures >= s.limits.LoginFailures {
		s.bye("Too many failed logins")
	}
	return err
}
