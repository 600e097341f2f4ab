package managesieve

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/auth"
	"gomaild/internal/dialogtest"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/sieve"
	"gomaild/sieve/scripts"
)

// fakeAuth knows alice with the password "secret"; "down" finds the accounts
// unreachable.
type fakeAuth struct{}

func (fakeAuth) Mechanisms() []string { return []string{"PLAIN"} }

func (fakeAuth) Login(_ context.Context, _ auth.Client, username, password string) (auth.Identity, error) {
	switch {
	case username == "down":
		return auth.Identity{}, auth.ErrUnavailable
	case username == "alice" && password == "secret":
		return auth.Identity{Account: mail.Address{Local: "alice", Domain: "example.test"}}, nil
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

// world is a server config over one account's scripts in memory.
func world() Config {
	disk := crashfs.New()
	engine := sieve.New(sieve.Config{})
	return Config{
		Auth: fakeAuth{}, PlaintextAuth: true, Extensions: []string{"fileinto", "vacation"},
		Scripts: func(context.Context, auth.Identity) (*scripts.Store, error) {
			fs, err := disk.Sub(".")
			return scripts.New(scripts.Config{FS: fs, UID: -1, GID: -1, Engine: engine, Limits: scripts.Limits{Size: 200, Scripts: 2}}), err
		},
	}
}

// TestDialogs plays testdata/dialogs/managesieve. Settings of a server:
// "no-plain", "starttls", "strict" (few errors), "small" (literals of 300).
func TestDialogs(t *testing.T) {
	t.Parallel()
	dialogtest.Files(t, "../testdata/dialogs/managesieve/*.txt", func(t testing.TB, settings []string, shown *tls.Config) dialogtest.Handler {
		c := world()
		for _, word := range settings {
			switch word {
			case "no-plain":
				c.PlaintextAuth = false
			case "starttls":
				c.TLS = shown
			case "strict":
				c.Limits.BadCommands, c.Limits.LoginFailures = 3, 2
			case "small":
				c.Limits.Script = 300
			default:
				t.Fatalf("unknown setting %q", word)
			}
		}
		return New(c)
	})
}

// TestTimeouts holds how long a client may be silent, before and after login and
// inside a literal, and that a drain ends the wait.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		send  string
		after time.Duration
		bye   bool
	}{
		"before login": {"NOOP\r\n", 3 * time.Minute, true},
		"after login":  {"AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHNlY3JldA==\"\r\n", 30 * time.Minute, true},
		"in a literal": {"AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHNlY3JldA==\"\r\nPUTSCRIPT \"a\" {9+}\r\nkeep", 5 * time.Minute, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer server.Close()
				New(world()).Serve(t.Context(), make(chan struct{}), server)
			}()
			go io.WriteString(client, tt.send)
			start := time.Now()
			text, _ := io.ReadAll(client)
			<-done
			if got := time.Since(start); got != tt.after || strings.Contains(string(text), "BYE") != tt.bye {
				t.Errorf("%s: ended after %v\n%s", name, got, text)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		drain := make(chan struct{})
		go func() {
			defer server.Close()
			New(world()).Serve(t.Context(), drain, server)
		}()
		lines := make(chan string, 100)
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(client); in.Scan(); {
				lines <- in.Text()
			}
		}()
		synctest.Wait()
		close(drain)
		var last string
		for last = range lines {
		}
		if last != `BYE (TRYLATER) "Server is shutting down"` {
			t.Error(last)
		}
	})
}

func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("../testdata/dialogs/managesieve/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var b strings.Builder
		for line := range strings.SplitSeq(string(text), "\n") {
			if c, ok := strings.CutPrefix(line, "C: "); ok {
				b.WriteString(c + "\r\n")
			}
		}
		f.Add([]byte(b.String()))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		c := world()
		c.Limits.BadCommands = 1000
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			New(c).Serve(t.Context(), make(chan struct{}), server)
		}()
		go func() {
			defer client.Close()
			_, _ = client.Write(input) // the session may end first
			_, _ = client.Write([]byte("\r\nLOGOUT\r\n"))
		}()
		_, _ = io.Copy(io.Discard, client)
		<-done
	})
}
