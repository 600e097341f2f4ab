package auth

import (
	"context"
	"errors"
	"io"
	"testing"
)

// scripted is an exchange that asks twice and then ends with err.
type scripted struct {
	asked int
	err   error
}

func (s *scripted) Next(_ context.Context, response []byte) ([]byte, bool, Identity, error) {
	if s.asked++; s.asked < 3 {
		return []byte{byte('0' + s.asked)}, false, Identity{}, nil
	}
	return nil, s.err == nil, Identity{MaySend: true}, s.err
}

// TestNegotiate holds whose error comes out: the mechanism's, a fault of ours as
// ErrUnavailable, and the connection's as it is.
func TestNegotiate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule           string
		mechanism, ask error
		want           error
		outcome        bool
	}{
		{"granted", nil, nil, nil, false},
		{"refused", ErrDenied, nil, ErrDenied, true},
		{"a fault of ours", io.ErrNoProgress, nil, ErrUnavailable, true},
		{"cancelled by the client", nil, ErrCancelled, ErrCancelled, true},
		{"the connection is lost", nil, io.EOF, io.EOF, false},
	} {
		id, err := Negotiate(t.Context(), &scripted{err: tt.mechanism}, nil, func([]byte) ([]byte, error) { return []byte{}, tt.ask })
		if !errors.Is(err, tt.want) || IsOutcome(err) != tt.outcome || id.MaySend != (tt.want == nil) {
			t.Errorf("%s: %+v, %v", tt.rule, id, err)
		}
	}
}

func FuzzDecodeResponse(f *testing.F) {
	for _, s := range []string{"*", "=", "", "AGE=", "!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := DecodeResponse(s); (b == nil) != (err != nil) {
			t.Errorf("%q: %v, %v", s, b, err)
		}
	})
}
