package smtp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/auth"
	"gomaild/mail"
)

// stored is a message that a fakeReceiver took.
type stored struct {
	client  Client
	from    mail.ReversePath
	to      []mail.Recipient
	content string
}

// fakeReceiver takes messages into memory. What it does not take, it says by
// the local part: sender "banned", recipients "unknown" (550 at RCPT), "broken"
// (a fault at RCPT), "full" and "ill" (452 and a fault after the content).
type fakeReceiver struct {
	mu       sync.Mutex
	messages []stored
	begun    int
	ended    int // by Commit or Abort

	// Set by tests before the server runs.
	commit func(ctx context.Context, content io.Reader) error // in place of reading all
}

func (r *fakeReceiver) Begin(_ context.Context, c Client, from mail.ReversePath) (Transaction, error) {
	if from.Address.Local == "banned" {
		return nil, &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Sender refused"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	return &fakeTransaction{receiver: r, message: stored{client: c, from: from}}, nil
}

func (r *fakeReceiver) all() []stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]stored(nil), r.messages...)
}

// open is how many transactions have neither been committed nor aborted.
func (r *fakeReceiver) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun - r.ended
}

type fakeTransaction struct {
	receiver *fakeReceiver
	message  stored
	done     bool
}

func (t *fakeTransaction) AddRecipient(_ context.Context, to mail.Recipient) error {
	switch to.Address.Local {
	case "unknown":
		return &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "No such mailbox"}
	case "broken":
		return errors.New("select mailbox: secret of the database")
	}
	t.message.to = append(t.message.to, to)
	return nil
}

func (t *fakeTransaction) Commit(ctx context.Context, content io.Reader) []error {
	t.end()
	results := make([]error, len(t.message.to))
	if err := t.read(ctx, content); err != nil {
		for i := range results {
			results[i] = err
		}
		return results
	}
	t.receiver.mu.Lock()
	defer t.receiver.mu.Unlock()
	t.receiver.messages = append(t.receiver.messages, t.message)
	for i, to := range t.message.to {
		switch to.Address.Local {
		case "full":
			results[i] = &mail.Status{Code: 452, Enhanced: "4.2.2", Text: "Mailbox full"}
		case "ill":
			results[i] = errors.New("write: secret of the disk")
		}
	}
	return results
}

func (t *fakeTransaction) read(ctx context.Context, content io.Reader) error {
	if t.receiver.commit != nil {
		return t.receiver.commit(ctx, content)
	}
	b, err := io.ReadAll(content)
	t.message.content = string(b)
	return err
}

func (t *fakeTransaction) Abort() { t.end() }

func (t *fakeTransaction) end() {
	t.receiver.mu.Lock()
	defer t.receiver.mu.Unlock()
	if t.done {
		panic("transaction ended twice")
	}
	t.done = true
	t.receiver.ended++
}

// fakeAuth knows one login, alice@example.org with "secret", by PLAIN and
// LOGIN; the password "down" is a database that does not answer.
type fakeAuth struct{}

func (fakeAuth) Mechanisms() []string { return []string{"PLAIN", "LOGIN"} }

func (fakeAuth) Start(mechanism string, _ auth.Client) (auth.Exchange, error) {
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		return &fakePlain{}, nil
	case "LOGIN":
		return &fakeLogin{}, nil
	}
	return nil, auth.ErrMechanism
}

func (fakeAuth) Login(_ context.Context, _ auth.Client, username, password string) (auth.Identity, error) {
	switch {
	case password == "down":
		return auth.Identity{}, auth.ErrUnavailable
	case username != "alice@example.org" || password != "secret":
		return auth.Identity{}, auth.ErrDenied
	}
	return auth.Identity{Account: mail.Address{Local: "alice", Domain: "example.org"}, MaySend: true}, nil
}

type fakePlain struct{}

func (fakePlain) Next(ctx context.Context, response []byte) ([]byte, bool, auth.Identity, error) {
	if response == nil {
		return []byte{}, false, auth.Identity{}, nil
	}
	fields := strings.Split(string(response), "\x00")
	if len(fields) != 3 {
		return nil, false, auth.Identity{}, auth.ErrMalformed
	}
	id, err := fakeAuth{}.Login(ctx, auth.Client{}, fields[1], fields[2])
	return nil, err == nil, id, err
}

type fakeLogin struct {
	username string
	step     int
}

func (l *fakeLogin) Next(ctx context.Context, response []byte) ([]byte, bool, auth.Identity, error) {
	if response != nil {
		l.step++
	}
	switch l.step {
	case 0:
		return []byte("Username:"), false, auth.Identity{}, nil
	case 1:
		l.username = string(response)
		return []byte("Password:"), false, auth.Identity{}, nil
	}
	id, err := fakeAuth{}.Login(ctx, auth.Client{}, l.username, string(response))
	return nil, err == nil, id, err
}

// certificate makes a TLS configuration for the server, and one for a client
// that trusts it under the name mx.example.org.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"mx.example.org"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots, ServerName: "mx.example.org"}
}

// serve runs srv on a loopback port until the test ends and returns its
// address. Each connection is closed after Serve, as the listener does.
func serve(t testing.TB, srv *Server, implicit *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	drain := make(chan struct{})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if implicit == nil {
					srv.Serve(context.Background(), drain, conn)
					return
				}
				if onTLS := tls.Server(conn, implicit); onTLS.Handshake() == nil {
					srv.Serve(context.Background(), drain, onTLS)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(drain)
		running.Wait()
	})
	return l.Addr().String()
}

// script is a connection whose client sends each segment in one piece and then
// closes. It is not for use by several goroutines.
type script struct {
	net.Conn // no other method is called
	segments [][]byte
	out      bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.segments) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.segments[0])
	if s.segments[0] = s.segments[0][n:]; len(s.segments[0]) == 0 {
		s.segments = s.segments[1:]
	}
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 25} }
