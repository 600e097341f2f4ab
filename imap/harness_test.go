package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/auth"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
	"gomaild/storage/memory"
)

// TestMain makes the dates that Maildirs give independent of where the tests
// run.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// fakeAuth knows alice and bob, both with the password "secret"; the login
// "down" finds the accounts unreachable.
type fakeAuth struct{}

func (fakeAuth) Mechanisms() []string { return []string{"PLAIN", "LOGIN"} }

func (fakeAuth) Login(_ context.Context, _ auth.Client, username, password string) (auth.Identity, error) {
	switch {
	case username == "down":
		return auth.Identity{}, auth.ErrUnavailable
	case (username == "alice" || username == "bob") && password == "secret":
		return auth.Identity{Account: mail.Address{Local: username, Domain: "example.test"}}, nil
	}
	return auth.Identity{}, auth.ErrDenied
}

func (f fakeAuth) Start(mechanism string, c auth.Client) (auth.Exchange, error) {
	switch mechanism {
	case "PLAIN":
		return &fakePlain{f, c}, nil
	case "LOGIN":
		return &fakeLogin{auth: f, client: c}, nil
	}
	return nil, auth.ErrMechanism
}

type fakePlain struct {
	auth   fakeAuth
	client auth.Client
}

func (p *fakePlain) Next(ctx context.Context, response []byte) ([]byte, bool, auth.Identity, error) {
	if response == nil {
		return nil, false, auth.Identity{}, nil
	}
	fields := strings.Split(string(response), "\x00")
	if len(fields) != 3 {
		return nil, false, auth.Identity{}, auth.ErrMalformed
	}
	id, err := p.auth.Login(ctx, p.client, fields[1], fields[2])
	return nil, err == nil, id, err
}

type fakeLogin struct {
	auth     fakeAuth
	client   auth.Client
	username []byte
}

func (l *fakeLogin) Next(ctx context.Context, response []byte) ([]byte, bool, auth.Identity, error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, auth.Identity{}, nil
	case l.username == nil:
		l.username = response
		return []byte("Password:"), false, auth.Identity{}, nil
	}
	id, err := l.auth.Login(ctx, l.client, string(l.username), string(response))
	return nil, err == nil, id, err
}

// world is a server with its store.
type world struct {
	t      testing.TB
	store  storage.Store
	server *Server
	drain  chan struct{}
	log    *logBuffer
	wg     sync.WaitGroup
}

// logBuffer is a log that tests can read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld makes a server; passwords are allowed without TLS unless adjust
// says otherwise.
func newWorld(t testing.TB, adjust func(*Config)) *world {
	return newWorldOn(t, &memory.Store{}, adjust)
}

func newWorldOn(t testing.TB, store storage.Store, adjust func(*Config)) *world {
	w := &world{t: t, store: store, drain: make(chan struct{}), log: &logBuffer{}}
	cfg := Config{
		Hostname:      "mail.example.test",
		Auth:          fakeAuth{},
		PlaintextAuth: true,
		Accounts: func(ctx context.Context, id auth.Identity) (storage.Account, error) {
			return w.store.Account(ctx, storage.Owner{Address: id.Account})
		},
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	w.server = New(cfg)
	return w
}

// serve runs a session on conn; the world waits for its end.
func (w *world) serve(conn net.Conn) {
	w.wg.Go(func() {
		defer conn.Close()
		w.server.Serve(w.t.Context(), w.drain, conn)
	})
}

// listen serves on a loopback port until the test ends and returns its
// address.
func (w *world) listen() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			w.serve(conn)
		}
	})
	w.t.Cleanup(func() {
		ln.Close()
		w.wg.Wait()
	})
	return ln.Addr().String()
}

// maildirStore is a store on disk, for the length of the test.
func maildirStore(t testing.TB) storage.Store {
	t.Helper()
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := maildir.New(maildir.Config{FS: root, Special: []maildir.SpecialFolder{}, PollInterval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), root.Close()); err != nil {
			t.Error(err)
		}
	})
	return store
}

// mailbox opens alice's mailbox of that name, as another program would.
func (w *world) mailbox(name string) storage.Mailbox {
	w.t.Helper()
	account, err := w.store.Account(w.t.Context(), storage.Owner{Address: mail.Address{Local: "alice", Domain: "example.test"}})
	if err != nil {
		w.t.Fatal(err)
	}
	box, err := account.Open(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return box
}

// put stores a message whose line ends are LF in text.
func (w *world) put(mailbox, text string, flags storage.SystemFlag) {
	w.t.Helper()
	_, err := w.mailbox(mailbox).Append(w.t.Context(), storage.Draft{
		Content:      strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")),
		Flags:        flags,
		InternalDate: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// client is a line client on a connection.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and reads the greeting.
func (w *world) dial(address string) *client {
	w.t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{w.t, conn, bufio.NewReader(conn)}
}

// login is a connection that alice has logged in on.
func (w *world) login(address string) *client { return w.loginAs(address, "alice") }

func (w *world) loginAs(address, user string) *client {
	w.t.Helper()
	c := w.dial(address)
	c.line()
	c.send("login LOGIN " + user + " secret\r\n")
	if got := c.until("login"); !strings.HasPrefix(got[len(got)-1], "login OK") {
		w.t.Fatalf("login: %q", got)
	}
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatalf("send %.60q: %v", text, err)
	}
}

// line reads a line without its end; "" at the end of the connection.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil && line == "" {
		return ""
	}
	return strings.TrimRight(line, "\r\n")
}

// until reads lines up to the one that begins with tag, or the end.
func (c *client) until(tag string) []string {
	c.t.Helper()
	var lines []string
	for {
		line := c.line()
		lines = append(lines, line)
		if line == "" && c.ended() || strings.HasPrefix(line, tag+" ") {
			return lines
		}
	}
}

func (c *client) ended() bool {
	_, err := c.r.Peek(1)
	return err != nil
}

// do sends a command and returns its responses, the tagged one last.
func (c *client) do(command string) []string {
	c.t.Helper()
	c.send("t " + command + "\r\n")
	return c.until("t")
}
