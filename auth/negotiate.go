package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
)

// Negotiate carries an exchange to its end. initial is the client's initial
// response, nil if there was none; ask sends a challenge and returns the
// client's response, never nil without an error. The error is one of those that
// this package defines (see IsOutcome), or what ask returned.
func Negotiate(ctx context.Context, ex Exchange, initial []byte, ask func(challenge []byte) ([]byte, error)) (Identity, error) {
	for response := initial; ; {
		challenge, done, id, err := ex.Next(ctx, response)
		switch {
		case err != nil && !IsOutcome(err):
			return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case err != nil:
			return Identity{}, err
		case done:
			return id, nil
		}
		if response, err = ask(challenge); err != nil {
			return Identity{}, err
		}
	}
}

// IsOutcome reports the errors that this package defines for a login that is
// not granted. An error of ask that is none is one of the connection.
func IsOutcome(err error) bool {
	for _, known := range []error{ErrDenied, ErrUnavailable, ErrCancelled, ErrMalformed, ErrMechanism} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// DecodeResponse reads a client's response as IMAP and POP3 write it: base64,
// "*" to cancel (ErrCancelled), "=" for an empty one; anything else is
// ErrMalformed. The result is never nil, which would mean that there was none.
func DecodeResponse(line string) ([]byte, error) {
	switch line {
	case "*":
		return nil, ErrCancelled
	case "=":
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, ErrMalformed
	}
	return append([]byte{}, b...), nil
}
