package managesieve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gomaild/auth"
	"gomaild/internal/lineconn"
	"gomaild/internal/peer"
)

// mayUsePlaintext reports whether a password may be sent as it is.
func (s *session) mayUsePlaintext() bool {
	cfg := &s.srv.cfg
	return cfg.PlaintextAuth || s.conn.IsTLS() || peer.In(cfg.TrustedNetworks, s.conn.Addr())
}

func (s *session) mayStartTLS() bool {
	return s.srv.cfg.TLS != nil && !s.conn.IsTLS() && s.scripts == nil
}

// startTLS is STARTTLS, RFC 5804 section 2.2. The capabilities come again after
// it.
func (s *session) startTLS(ctx context.Context, _ []argument) error {
	if !s.mayStartTLS() {
		return no("", "TLS is not possible here")
	}
	if s.conn.In.Buffered() > 0 {
		// Somebody on the way may have put it there for us to take as if it
		// had come encrypted. No client does it.
		s.bye("", "Data came after STARTTLS before its answer")
		return nil
	}
	s.ok("", "Begin TLS negotiation now")
	if err := s.conn.Upgrade(ctx, s.loginBy, s.srv.cfg.TLS); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	s.capabilities()
	s.ok("", "TLS negotiation successful")
	return nil
}

// authenticate is AUTHENTICATE, section 2.1.
func (s *session) authenticate(ctx context.Context, args []argument) error {
	if !s.mayUsePlaintext() {
		return no("ENCRYPT-NEEDED", "Passwords are not taken without TLS")
	}
	client := auth.Client{Addr: s.conn.Addr(), Protocol: "managesieve", Session: s.id, OnTLS: s.conn.IsTLS()}
	ex, err := s.srv.cfg.Auth.Start(args[0].text, client)
	if err != nil {
		return s.loginFailed(err)
	}
	var initial []byte
	if len(args) == 2 {
		if initial, err = decode(args[1].text); err != nil {
			return s.loginFailed(err)
		}
	}
	id, err := auth.Negotiate(ctx, ex, initial, s.challenge)
	if auth.IsOutcome(err) {
		return s.loginFailed(err)
	}
	if err != nil {
		return err
	}
	return s.loggedIn(ctx, id)
}

// challenge sends a challenge and reads the response: one string, "*" to cancel.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	fmt.Fprintf(s.conn.Out, "%s\r\n", quote(base64.StdEncoding.EncodeToString(challenge)))
	line, err := s.conn.ReadLine(s.loginBy, s.limits.Line)
	var args []argument
	if err == nil {
		args, err = s.readArguments(line)
	}
	switch {
	case errors.Is(err, errSyntax), errors.Is(err, lineconn.ErrLong), errors.Is(err, errTooMuch), err == nil && len(args) != 1:
		return nil, auth.ErrMalformed
	case err != nil:
		return nil, err
	}
	return decode(args[0].text)
}

// decode is of strings, where an empty one needs no "=".
func decode(text string) ([]byte, error) {
	if text == "" {
		text = "="
	}
	return auth.DecodeResponse(text)
}

// loginFailed counts a refusal and ends the session when there were too many.
func (s *session) loginFailed(err error) error {
	text := "Authentication failed"
	switch {
	case errors.Is(err, auth.ErrDenied):
	case errors.Is(err, auth.ErrCancelled):
		text = "Authentication cancelled"
	case errors.Is(err, auth.ErrMalformed):
		text = "Malformed authentication exchange"
	case errors.Is(err, auth.ErrMechanism):
		text = "Unknown authentication mechanism"
	default:
		return no("TRYLATER", "Temporary authentication failure")
	}
	if s.loginFailures++; s.loginFailures >= s.limits.LoginFailures {
		s.ended = true
	}
	return no("", text)
}

// loggedIn opens the scripts of an identity that was granted.
func (s *session) loggedIn(ctx context.Context, id auth.Identity) error {
	store, err := s.srv.cfg.Scripts(ctx, id)
	if err != nil {
		s.log.Error("open scripts", "account", id.Account.String(), "error", err)
		return no("TRYLATER", "Scripts cannot be opened now")
	}
	s.scripts, s.identity = store, id
	s.log = s.log.With("account", id.Account.String())
	s.ok("", "Logged in")
	return nil
}

// unauthenticate is UNAUTHENTICATE, section 2.14.1.
func (s *session) unauthenticate(context.Context, []argument) error {
	s.warn("close scripts", s.scripts.Close())
	s.scripts, s.identity = nil, auth.Identity{}
	s.loginBy = time.Now().Add(s.limits.LoginTimeout)
	s.ok("", "Logged out")
	return nil
}
