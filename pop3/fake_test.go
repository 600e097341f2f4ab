package pop3

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"gomaild/auth"
	"gomaild/internal/dialogtest"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// fakeAuth knows alice, whose password is "se cret"; the login "down" finds
// the accounts unreachable.
type fakeAuth struct{}

func (fakeAuth) Mechanisms() []string { return []string{"PLAIN"} }

func (fakeAuth) Login(_ context.Context, _ auth.Client, username, password string) (auth.Identity, error) {
	switch {
	case username == "down":
		return auth.Identity{}, auth.ErrUnavailable
	case username == "alice" && password == "se cret":
		return auth.Identity{Account: alice}, nil
	}
	return auth.Identity{}, auth.ErrDenied
}

func (f fakeAuth) Start(mechanism string, c auth.Client) (auth.Exchange, error) {
	if mechanism != "PLAIN" {
		return nil, auth.ErrMechanism
	}
	return fakePlain{f, c}, nil
}

type fakePlain struct {
	auth   fakeAuth
	client auth.Client
}

func (p fakePlain) Next(ctx context.Context, response []byte) ([]byte, bool, auth.Identity, error) {
	if response == nil {
		return nil, false, auth.Identity{}, nil
	}
	f := strings.Split(string(response), "\x00")
	if len(f) != 3 {
		return nil, false, auth.Identity{}, auth.ErrMalformed
	}
	id, err := p.auth.Login(ctx, p.client, f[1], f[2])
	return nil, err == nil, id, err
}

var alice = mail.Address{Local: "alice", Domain: "example.test"}

// letters are what alice has in her INBOX.
var letters = []string{
	"Subject: one\r\n\r\nfirst line\r\n.dot\r\n..dots\r\nlast\r\n",
	"Subject: two\r\nX: y\r\n\r\n.\r\n",
	"Subject: no body\r\n",
	"Subject: no line end\r\n\r\nabc",
}

// world is a server config over a store in memory with the letters in it.
func world(t testing.TB) (Config, storage.Store) {
	t.Helper()
	store := &memory.Store{}
	account, err := store.Account(t.Context(), storage.Owner{Address: alice})
	if err != nil {
		t.Fatal(err)
	}
	box, err := account.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if _, err := box.Append(t.Context(), storage.Draft{Content: strings.NewReader(l)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { box.Close(); account.Close() })
	return Config{
		Hostname:      "mail.example.test",
		Auth:          fakeAuth{},
		PlaintextAuth: true,
		Accounts: func(ctx context.Context, id auth.Identity) (storage.Account, error) {
			return store.Account(ctx, storage.Owner{Address: id.Account})
		},
	}, store
}

// TestDialogs plays testdata/dialogs/pop3. Settings of a server: "no-plain"
// takes passwords on TLS only, "starttls" offers STLS, "lock" locks the
// maildrop, "bad=N" and "logins=N" are limits, "seen" marks messages.
func TestDialogs(t *testing.T) {
	t.Parallel()
	dialogtest.Files(t, "../testdata/dialogs/pop3/*.txt", func(t testing.TB, settings []string, shown *tls.Config) dialogtest.Handler {
		c, _ := world(t)
		for _, word := range settings {
			switch word {
			case "no-plain":
				c.PlaintextAuth = false
			case "starttls":
				c.TLS = shown
			case "lock":
				c.Lock = true
			case "seen":
				c.MarkSeen = true
			case "strict":
				c.Limits.BadCommands, c.Limits.LoginFailures = 3, 2
			default:
				t.Fatalf("unknown setting %q", word)
			}
		}
		return New(c)
	})
}
