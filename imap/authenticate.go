package imap

import (
	"context"
	"encoding/base64"

	"gomaild/auth"
)

// authenticate is AUTHENTICATE, RFC 3501 section 6.2.2, with the initial
// response of RFC 4959.
type authenticate struct {
	mechanism  string
	initial    string // base64, "=" for an empty response
	hasInitial bool
}

func parseAuthenticate(g *grammar) request {
	var r authenticate
	g.SP()
	r.mechanism = g.Word()
	if g.Accept(' ') {
		r.initial, r.hasInitial = g.AString(), true
	}
	g.End()
	return r
}

func (r authenticate) run(ctx context.Context, s *session) (reply, error) {
	if !s.mayUse(r.mechanism) {
		return reply{}, errPrivacy
	}
	ex, err := s.srv.cfg.Auth.Start(r.mechanism, s.authClient())
	if err != nil {
		return reply{}, s.loginFailed(err)
	}
	id, err := r.exchange(ctx, s, ex)
	if err != nil {
		return reply{}, err
	}
	return s.loggedIn(ctx, id)
}

// exchange carries challenges and responses until the mechanism is done.
func (r authenticate) exchange(ctx context.Context, s *session, ex auth.Exchange) (auth.Identity, error) {
	var response []byte
	if r.hasInitial {
		var err error
		if response, err = decodeResponse(r.initial); err != nil {
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
		line, err := s.challenge(challenge)
		if err != nil {
			return auth.Identity{}, err
		}
		if response, err = decodeResponse(line); err != nil {
			return auth.Identity{}, s.loginFailed(err)
		}
	}
}

// challenge sends a server challenge and reads the client's line.
func (s *session) challenge(challenge []byte) (string, error) {
	s.enc.Raw("+ " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
	line, err := s.dec.Line()
	if err != nil {
		return "", err
	}
	return line, s.dec.Err()
}

// decodeResponse reads a response: base64, "*" to cancel, "=" for empty. The
// result is never nil, which would mean that there was none.
func decodeResponse(line string) ([]byte, error) {
	switch line {
	case "*":
		return nil, auth.ErrCancelled
	case "=":
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, auth.ErrMalformed
	}
	return append([]byte{}, b...), nil
}
