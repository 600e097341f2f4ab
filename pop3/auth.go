package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"gomaild/auth"
	"gomaild/internal/lineconn"
)

// auth is AUTH, RFC 5034. Without an argument it lists the mechanisms, which
// old clients ask for and the RFC leaves to CAPA.
func (s *session) auth(ctx context.Context, arg string) error {
	if !s.mayUsePlaintext() {
		return errPrivacy
	}
	mechanism, initial, hasInitial := strings.Cut(strings.TrimSpace(arg), " ")
	if mechanism == "" {
		s.listMechanisms()
		return nil
	}
	ex, err := s.srv.cfg.Auth.Start(mechanism, s.authClient())
	if err != nil {
		return s.loginFailed(err)
	}
	var response []byte
	if hasInitial {
		if response, err = auth.DecodeResponse(initial); err != nil {
			return s.loginFailed(err)
		}
	}
	id, err := auth.Negotiate(ctx, ex, response, s.challenge)
	if auth.IsOutcome(err) {
		return s.loginFailed(err)
	}
	if err != nil {
		return err
	}
	return s.loggedIn(ctx, id)
}

func (s *session) listMechanisms() {
	s.ok("Mechanisms follow")
	for _, m := range s.srv.cfg.Auth.Mechanisms() {
		fmt.Fprintf(s.line.Out, "%s\r\n", m)
	}
	s.end()
}

// challenge sends a server challenge and reads the client's response.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	fmt.Fprintf(s.line.Out, "+ %s\r\n", base64.StdEncoding.EncodeToString(challenge))
	text, err := s.line.ReadLine(s.loginBy, s.limits.AuthLine)
	switch {
	case errors.Is(err, lineconn.ErrLong):
		return nil, auth.ErrMalformed
	case err != nil:
		return nil, err
	}
	return auth.DecodeResponse(text)
}
