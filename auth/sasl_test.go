package auth

import (
	"errors"
	"strings"
	"testing"
)

// finish runs an exchange without an initial response to its end.
func finish(t *testing.T, e Exchange, username, password string) (challenge []byte, done bool, id Identity, err error) {
	t.Helper()
	challenge, done, id, err = e.Next(t.Context(), nil)
	for !done && err == nil {
		answer := "\x00" + username + "\x00" + password
		switch string(challenge) {
		case "Username:":
			answer = username
		case "Password:":
			answer = password
		}
		challenge, done, id, err = e.Next(t.Context(), []byte(answer))
	}
	return challenge, done, id, err
}

// Each row is what the client sends, "-" for no initial response, and what
// comes of the last of it.
func TestExchanges(t *testing.T) {
	t.Parallel()
	a := New(quick(twoAccounts()))
	for _, tc := range []struct {
		rule, mechanism string
		responses       []string
		want            error
	}{
		{"initial response", "PLAIN", []string{"\x00alice@example.com\x00Test-pw1"}, nil},
		{"empty challenge first", "PLAIN", []string{"-", "\x00alice@example.com\x00Test-pw1"}, nil},
		{"mechanism in lower case", "plain", []string{"\x00alice\x00Test-pw1"}, nil},
		{"one's own authorization identity", "PLAIN", []string{"Alice@example.com\x00alice\x00Test-pw1"}, nil},
		{"another's authorization identity", "PLAIN", []string{"bob@example.com\x00alice\x00Test-pw1"}, ErrDenied},
		{"an authorization identity that is no name", "PLAIN", []string{"not a name\x00alice\x00Test-pw1"}, ErrDenied},
		{"wrong password", "PLAIN", []string{"\x00alice\x00wrong"}, ErrDenied},
		{"empty password", "PLAIN", []string{"\x00alice\x00"}, ErrDenied},
		{"two fields", "PLAIN", []string{"alice\x00Test-pw1"}, ErrMalformed},
		{"four fields", "PLAIN", []string{"\x00alice\x00Test-pw1\x00"}, ErrMalformed},
		{"empty message", "PLAIN", []string{""}, ErrMalformed},
		{"no answer to the challenge", "PLAIN", []string{"-", "-"}, ErrMalformed},
		{"going on after the end", "PLAIN", []string{"\x00alice\x00Test-pw1", "\x00alice\x00Test-pw1"}, ErrMalformed},
		{"two questions", "LOGIN", []string{"-", "alice", "Test-pw1"}, nil},
		{"the name as initial response", "Login", []string{"alice", "Test-pw1"}, nil},
		{"wrong password", "LOGIN", []string{"-", "alice", "wrong"}, ErrDenied},
		{"empty name", "LOGIN", []string{"-", "", "Test-pw1"}, ErrDenied},
		{"NUL in the name", "LOGIN", []string{"alice\x00alice", "Test-pw1"}, ErrDenied},
		{"going on after the end", "LOGIN", []string{"alice", "Test-pw1", "Test-pw1"}, ErrMalformed},
	} {
		e, err := a.Start(tc.mechanism, somewhere)
		if err != nil {
			t.Fatal(err)
		}
		var done bool
		var id Identity
		for _, r := range tc.responses {
			response := []byte(r)
			if r == "-" {
				response = nil
			}
			_, done, id, err = e.Next(t.Context(), response)
		}
		if !errors.Is(err, tc.want) || done != (tc.want == nil) {
			t.Errorf("%s, %s: done %v, %v, want %v", tc.mechanism, tc.rule, done, err, tc.want)
		}
		if tc.want == nil && id.Account.String() != "alice@example.com" || tc.want != nil && !id.Account.IsZero() {
			t.Errorf("%s, %s: identity %v", tc.mechanism, tc.rule, id.Account)
		}
	}
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	a := New(quick(twoAccounts()))
	if got := strings.Join(a.Mechanisms(), " "); got != "PLAIN LOGIN" {
		t.Errorf("offered: %s", got)
	}
	if _, err := a.Start("GSSAPI", somewhere); !errors.Is(err, ErrMechanism) {
		t.Errorf("an unknown mechanism: %v", err)
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"\x00alice@example.com\x00Test-pw1", "a\x00b\x00c", "", "\x00\x00", "\x00\x00\x00", "alice"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		at, err := parsePlain(message)
		if err != nil {
			return
		}
		if got := at.identity + "\x00" + at.username + "\x00" + at.password; got != string(message) {
			t.Errorf("%q was read as %q", message, got)
		}
		if strings.Contains(at.password, "\x00") {
			t.Errorf("a NUL in the password of %q", message)
		}
	})
}

func FuzzLoginName(f *testing.F) {
	for _, s := range []string{"alice", "Alice@Example.COM", "alice@example.com ", "alice\x00", `"a b"@example.com`, "álice@example.com", "a@b@c", "@", "a@[192.0.2.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, username string) {
		login, ok := loginName(username, "example.com")
		if !ok {
			return
		}
		if strings.ContainsAny(login.String(), "\x00\r\n") {
			t.Errorf("%q became %q", username, login)
		}
		if again, ok := loginName(login.String(), ""); !ok || again != login {
			t.Errorf("%q became %v, and that %v", username, login, again)
		}
	})
}
