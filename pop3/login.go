package pop3

import (
	"context"
	"errors"
	"fmt"

	"gomaild/auth"
	"gomaild/internal/peer"
)

// Refusals of a login.
var (
	errDenied  = &failure{"AUTH", "Authentication failed"} // RFC 3206 section 3
	errPrivacy = fail("Passwords are not taken without TLS")
	errInUse   = &failure{"IN-USE", "Another session has this maildrop"} // RFC 2449 section 8.1.1
)

// mayUsePlaintext reports whether a password may be sent as it is.
func (s *session) mayUsePlaintext() bool {
	cfg := &s.srv.cfg
	return cfg.PlaintextAuth || s.line.IsTLS() || peer.In(cfg.TrustedNetworks, s.line.Addr())
}

// userName is USER. Whether the user exists is not told (RFC 1939 section 13).
func (s *session) userName(_ context.Context, arg string) error {
	if !s.mayUsePlaintext() {
		return errPrivacy
	}
	s.user = arg
	s.ok("Now the password")
	return nil
}

// pass is PASS. All that follows its one blank is the password.
func (s *session) pass(ctx context.Context, password string) error {
	if !s.mayUsePlaintext() {
		return errPrivacy
	}
	if s.user == "" {
		return fail("USER comes first")
	}
	user := s.user
	s.user = ""
	id, err := s.srv.cfg.Auth.Login(ctx, s.authClient(), user, password)
	if err != nil {
		return s.loginFailed(err)
	}
	return s.loggedIn(ctx, id)
}

func (s *session) authClient() auth.Client {
	return auth.Client{Addr: s.line.Addr(), Protocol: "pop3", Session: s.id, OnTLS: s.line.IsTLS()}
}

// loginFailed counts a refusal and ends the session when there were too many.
// How long it takes, and the log of it, is the Authenticator's business.
func (s *session) loginFailed(err error) error {
	switch {
	case errors.Is(err, auth.ErrDenied):
		err = errDenied
	case errors.Is(err, auth.ErrCancelled):
		err = fail("Authentication cancelled")
	case errors.Is(err, auth.ErrMalformed):
		err = fail("Malformed authentication exchange")
	case errors.Is(err, auth.ErrMechanism):
		err = fail("Unknown authentication mechanism")
	default:
		return errTemporary
	}
	s.loginFailures++
	if s.loginFailures >= s.limits.LoginFailures {
		s.ended = true
	}
	return err
}

// loggedIn opens the maildrop of an identity that was granted.
func (s *session) loggedIn(ctx context.Context, id auth.Identity) error {
	if s.srv.cfg.Lock {
		unlock, ok := s.srv.locks.take(id.Account)
		if !ok {
			return errInUse
		}
		s.unlock = unlock
	}
	if err := s.open(ctx, id); err != nil {
		s.log.Error("open maildrop", "account", id.Account.String(), "error", err)
		s.giveBack()
		return errTemporary
	}
	s.identity, s.state = id, transaction
	s.log = s.log.With("account", id.Account.String())
	s.ok(fmt.Sprintf("Logged in, %d messages", len(s.drop.messages)))
	return nil
}

func (s *session) giveBack() {
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
}

// open is the look at the INBOX that the whole session works with.
func (s *session) open(ctx context.Context, id auth.Identity) error {
	account, err := s.srv.cfg.Accounts(ctx, id)
	if err != nil {
		return err
	}
	box, err := account.Open(ctx, "INBOX")
	if err != nil {
		return errors.Join(err, account.Close())
	}
	drop, err := newMaildrop(ctx, box, s.srv.cfg.UniqueIDs)
	if err != nil {
		return errors.Join(err, box.Close(), account.Close())
	}
	s.account, s.drop = account, drop
	return nil
}
