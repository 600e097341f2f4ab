package auth

import (
	"bytes"
	"context"
	"strings"
)

// mechanisms are the SASL mechanisms, best first. Both send the password, so
// every scheme of stored password serves them; the protocol packages offer
// them on TLS only.
var mechanisms = []struct {
	name  string
	start func(*Auth, Client) Exchange
}{
	{"PLAIN", func(a *Auth, c Client) Exchange { return &plainExchange{auth: a, client: c} }},
	{"LOGIN", func(a *Auth, c Client) Exchange { return &loginExchange{auth: a, client: c} }},
}

// Mechanisms implements Authenticator.
func (a *Auth) Mechanisms() []string {
	names := make([]string, 0, len(mechanisms))
	for _, m := range mechanisms {
		names = append(names, m.name)
	}
	return names
}

// Start implements Authenticator.
func (a *Auth) Start(mechanism string, c Client) (Exchange, error) {
	for _, m := range mechanisms {
		if strings.EqualFold(m.name, mechanism) {
			return m.start(a, c), nil
		}
	}
	return nil, ErrMechanism
}

// plainExchange is PLAIN (RFC 4616): one message from the client.
type plainExchange struct {
	auth   *Auth
	client Client
	asked  bool // the empty challenge is sent
	over   bool
}

func (e *plainExchange) Next(ctx context.Context, response []byte) ([]byte, bool, Identity, error) {
	if response == nil && !e.asked && !e.over {
		e.asked = true
		return []byte{}, false, Identity{}, nil
	}
	if e.over {
		return nil, false, Identity{}, ErrMalformed
	}
	e.over = true
	at, err := parsePlain(response)
	if err != nil {
		return nil, false, Identity{}, err
	}
	at.client, at.mechanism = e.client, "PLAIN"
	id, err := e.auth.login(ctx, at)
	return nil, err == nil, id, err
}

// parsePlain reads message = [authzid] NUL authcid NUL passwd (RFC 4616 section
// 2). An empty name or password is well-formed here, and refused later.
func parsePlain(message []byte) (attempt, error) {
	f := bytes.Split(message, []byte{0})
	if len(f) != 3 {
		return attempt{}, ErrMalformed
	}
	return attempt{identity: string(f[0]), username: string(f[1]), password: string(f[2])}, nil
}

// loginExchange is LOGIN, which old clients still prefer
// (draft-murchison-sasl-login): two questions, whose wording is fixed by what
// clients look for.
type loginExchange struct {
	auth   *Auth
	client Client
	name   *string // nil before the first answer
	asked  bool    // the question for the name is sent
	over   bool
}

func (e *loginExchange) Next(ctx context.Context, response []byte) ([]byte, bool, Identity, error) {
	switch {
	case e.over:
		return nil, false, Identity{}, ErrMalformed
	case e.name == nil && response == nil && !e.asked:
		e.asked = true
		return []byte("Username:"), false, Identity{}, nil
	case e.name == nil:
		name := string(response)
		e.name = &name
		return []byte("Password:"), false, Identity{}, nil
	}
	e.over = true
	id, err := e.auth.login(ctx, attempt{client: e.client, mechanism: "LOGIN", username: *e.name, password: string(response)})
	return nil, err == nil, id, err
}
