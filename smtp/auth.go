package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"gomaild/auth"
	"gomaild/mail"
)

// Replies to AUTH (RFC 4954 section 6); auth.Authenticator says which error is
// which.
var (
	errAuthSyntax      = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: AUTH mechanism [initial-response]"}
	errAuthOff         = &mail.Status{Code: 502, Enhanced: "5.5.1", Text: "AUTH is not offered"}
	errAuthNeedsTLS    = &mail.Status{Code: 538, Enhanced: "5.7.11", Text: "Encryption is required for AUTH"}
	errAuthTwice       = &mail.Status{Code: 503, Enhanced: "5.5.1", Text: "Already authenticated"}
	errAuthDenied      = &mail.Status{Code: 535, Enhanced: "5.7.8", Text: "Authentication credentials invalid"}
	errAuthUnavailable = &mail.Status{Code: 454, Enhanced: "4.7.0", Text: "Temporary authentication failure"}
	errAuthCancelled   = &mail.Status{Code: 501, Enhanced: "5.7.0", Text: "Authentication cancelled"}
	errAuthMalformed   = &mail.Status{Code: 501, Enhanced: "5.5.2", Text: "Malformed authentication exchange"}
	errAuthMechanism   = &mail.Status{Code: 504, Enhanced: "5.5.4", Text: "Unknown authentication mechanism"}
	errAuthLine        = &mail.Status{Code: 500, Enhanced: "5.5.6", Text: "Authentication line too long"}
)

// authArg is AUTH taken apart.
type authArg struct {
	mechanism string
	initial   []byte // nil if there is none, empty for "="
}

// parseAuth reads "mechanism [initial-response]" (RFC 4954 section 4).
func parseAuth(arg string) (authArg, error) {
	mechanism, rest, hasInitial := strings.Cut(arg, " ")
	if mechanism == "" {
		return authArg{}, errAuthSyntax
	}
	a := authArg{mechanism: mechanism}
	if !hasInitial {
		return a, nil
	}
	if rest == "=" {
		a.initial = []byte{}
		return a, nil
	}
	var err error
	a.initial, err = decodeResponse(rest)
	return a, err
}

// decodeResponse is never nil without an error: an empty response is one.
func decodeResponse(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errAuthMalformed
	}
	return b, nil
}

// mayAuth reports that AUTH is offered now.
func (s *session) mayAuth() bool {
	return s.srv.cfg.Auth != nil && s.client.Identity == nil && s.authIsSafe()
}

// authIsSafe reports that a password may cross this connection.
func (s *session) authIsSafe() bool {
	return s.onTLS() || s.srv.cfg.AllowPlaintextAuth || s.trusted
}

// auth runs one SASL exchange.
func (s *session) auth(ctx context.Context, a authArg) error {
	switch {
	case s.srv.cfg.Auth == nil:
		return errAuthOff
	case s.client.Identity != nil:
		return errAuthTwice
	case !s.authIsSafe():
		return errAuthNeedsTLS
	}
	ex, err := s.srv.cfg.Auth.Start(a.mechanism, s.authClient())
	if err != nil {
		return authStatus(err)
	}
	id, err := auth.Negotiate(ctx, ex, a.initial, s.challenge)
	if auth.IsOutcome(err) {
		return authStatus(err)
	}
	if err != nil {
		return err
	}
	s.client.Identity = &id
	s.log = s.log.With("account", id.Account)
	s.reply(235, "2.7.0", "Authentication successful")
	return nil
}

func (s *session) authClient() auth.Client {
	return auth.Client{
		Addr:     s.client.Addr,
		Protocol: "smtp",
		Session:  s.client.Session,
		OnTLS:    s.onTLS(),
	}
}

// challenge sends one challenge and reads the response. It is not written as
// other replies are: a challenge is one line, however long.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	w := s.wire
	w.out = append(w.out, "334 "...)
	w.out = base64.StdEncoding.AppendEncode(w.out, challenge)
	w.out = append(w.out, "\r\n"...)

	line, err := w.readLine(func([]byte) int { return maxAuthLine })
	switch {
	case errors.Is(err, errBareLF):
		return nil, errLineEnd
	case errors.Is(err, errLongLine):
		return nil, errAuthLine
	case err != nil:
		return nil, err
	case w.Buffered() > 0:
		return nil, s.end(errAhead)
	case string(line) == "*":
		return nil, errAuthCancelled
	}
	return decodeResponse(string(line))
}

// authStatus is the table of package auth.
func authStatus(err error) error {
	switch {
	case errors.Is(err, auth.ErrDenied):
		return errAuthDenied
	case errors.Is(err, auth.ErrCancelled):
		return errAuthCancelled
	case errors.Is(err, auth.ErrMalformed):
		return errAuthMalformed
	case errors.Is(err, auth.ErrMechanism):
		return errAuthMechanism
	}
	return errAuthUnavailable.WithCause(err)
}
