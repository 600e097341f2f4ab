// Package dialogtest plays dialogs of line protocols that are written down as
// files: what a client sends and what the server must answer. A bug report
// becomes a file.
//
// Each line of a file is one of
//
//	# text          a comment: the rule that the next lines show
//	server: words   begin: a new server with these settings, and a connection
//	client: words   another connection to the present server
//	C: text         the client sends text and CRLF
//	R: "text"       the client sends exactly these octets (Go string syntax)
//	S: text         the server's next line is this
//	S/ regexp       the server's next line matches all of this
//	S...            any lines may come before the next one expected
//	STARTTLS:       the client does its TLS handshake
//	HANGUP:         the client closes the connection without a word
//	CLOSED:         the server has closed the connection and said nothing more
//
// What is not in the file must not come.
package dialogtest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a server may take for a line.
const patience = 20 * time.Second

// Handler serves one connection, as listener.Handler does.
type Handler interface {
	Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn)
}

// Files plays every file that the pattern names, each as a test of its own. New
// makes the server of a "server:" line; tls is what it shows to clients.
func Files(t *testing.T, pattern string, newServer func(t testing.TB, settings []string, tls *tls.Config) Handler) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs at %s: %v", pattern, err)
	}
	server, client := Certificate(t)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialog{t: t, new: newServer, serverTLS: server, clientTLS: client}
			d.play(string(text))
		})
	}
}

// dialog is one file in play.
type dialog struct {
	t                    *testing.T
	new                  func(testing.TB, []string, *tls.Config) Handler
	serverTLS, clientTLS *tls.Config

	address string
	conn    net.Conn
	in      *bufio.Reader
	skip    bool // after "S..."
}

func (d *dialog) play(text string) {
	for i, line := range strings.Split(text, "\n") {
		if err := d.line(line); err != nil {
			d.t.Fatalf("line %d: %s\n%v", i+1, line, err)
		}
	}
}

func (d *dialog) line(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	if line == "S..." {
		d.skip = true
		return nil
	}
	if pattern, ok := strings.CutPrefix(line, "S/ "); ok {
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return err
		}
		return d.expect(re.MatchString)
	}
	word, rest, _ := strings.Cut(line, ":")
	rest = strings.TrimPrefix(rest, " ")
	switch word {
	case "server":
		d.address = Serve(d.t, d.new(d.t, strings.Fields(rest), d.serverTLS))
		return d.connect()
	case "client":
		return d.connect()
	case "C":
		return d.send(rest + "\r\n")
	case "R":
		raw, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		return d.send(raw)
	case "S":
		return d.expect(func(got string) bool { return got == rest })
	case "STARTTLS":
		conn := tls.Client(d.conn, d.clientTLS)
		d.conn, d.in = conn, bufio.NewReader(conn)
		return conn.Handshake()
	case "HANGUP":
		return d.conn.Close()
	case "CLOSED":
		return d.expectClosed()
	}
	return errors.New("not a line of a dialog")
}

func (d *dialog) connect() error {
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		return err
	}
	d.t.Cleanup(func() { conn.Close() })
	d.conn, d.in = conn, bufio.NewReader(conn)
	return conn.SetDeadline(time.Now().Add(patience))
}

func (d *dialog) send(text string) error {
	if err := d.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.WriteString(d.conn, text)
	return err
}

func (d *dialog) expect(fits func(string) bool) error {
	for {
		got, err := d.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("got %q and %w", got, err)
		}
		got, whole := strings.CutSuffix(got, "\r\n")
		if !whole {
			return fmt.Errorf("got a line without CRLF: %q", got)
		}
		if fits(got) {
			d.skip = false
			return nil
		}
		if !d.skip {
			return fmt.Errorf("got: %s", got)
		}
	}
}

func (d *dialog) expectClosed() error {
	rest, err := io.ReadAll(d.in)
	if len(rest) > 0 {
		return fmt.Errorf("got %q", rest)
	}
	if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
		return errors.New("the server did not close the connection")
	}
	return nil
}

// Serve runs h on a loopback port until the test ends and returns its address.
// Each connection is closed after h is done with it.
func Serve(t testing.TB, h Handler) string {
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
				h.Serve(context.Background(), drain, conn)
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

// Certificate makes a certificate for one test, and a client that trusts it.
func Certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mail.example.test"}, NotAfter: time.Now().Add(time.Hour)}
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
	return server, &tls.Config{RootCAs: roots, ServerName: "mail.example.test"}
}
