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
	id, err := s.exchange(ctx, ex, initial, hasInitial)
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

// exchange carries challenges and responses until the mechanism is done.
func (s *session) exchange(ctx context.Context, ex auth.Exchange, initial string, hasInitial bool) (auth.Identity, error) {
	var response []byte
	if hasInitial {
		var err error
		if response, err = decodeResponse(initial); err != nil {
			return auth.Identity{}, s.loginFailed(err)
		}
	}
	for {
		challenge, done, id, err := ex.Next(ctx, response)
		if err != nil {
			return auth.Identity{}, s.loginFailed(err)
		}
		if done {
			return id, nil
		}
		if response, err = s.challenge(challenge); err != nil {
			return auth.Identity{}, err
		}
	}
}

// challenge sends a server challenge and reads the client's response.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	fmt.Fprintf(s.line.Out, "+ %s\r\n", base64.StdEncoding.EncodeToString(challenge))
	text, err := s.line.ReadLine(s.loginBy, s.limits.AuthLine)
	switch {
	case errors.Is(err, lineconn.ErrLong):
		return nil, s.loginFailed(auth.ErrMalformed)
	case err != nil:
		return nil, err
	}
	response, err := decodeResponse(text)
	if err != nil {
		return nil, s.loginFailed(err)
	}
	return response, nil
}

// decodeResponse reads a response: base64, "*" to cancel, "=" for empty. The
// result is never nil, which would mean that there was none.
func decodeResponse(text string) ([]byte, error) {
	switch text {
	case "*":
		return nil, auth.ErrCancelled
	case "=":
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, auth.ErrMalformed
	}
	return append([]byte{}, b...), nil
}
