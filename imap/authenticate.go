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
		r.initial, r.hasInitial = g.Atom(), true // RFC 4959 section 3: not a string
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
	if auth.IsOutcome(err) {
		return reply{}, s.loginFailed(err)
	}
	if err != nil {
		return reply{}, err
	}
	return s.loggedIn(ctx, id)
}

// exchange carries challenges and responses until the mechanism is done.
func (r authenticate) exchange(ctx context.Context, s *session, ex auth.Exchange) (auth.Identity, error) {
	var initial []byte
	if r.hasInitial {
		var err error
		if initial, err = auth.DecodeResponse(r.initial); err != nil {
			return auth.Identity{}, err
		}
	}
	return auth.Negotiate(ctx, ex, initial, s.challenge)
}

// challenge sends a server challenge and reads the client's response.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	s.enc.Raw("+ " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
	line, err := s.dec.Line()
	if err == nil {
		err = s.dec.Err()
	}
	if err != nil {
		return nil, err
	}
	return auth.DecodeResponse(line)
}
