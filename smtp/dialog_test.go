package smtp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDialogs plays the files of testdata/dialogs/smtp against the server.
// testdata/dialogs/smtp/README.md says how a file is written.
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/dialogs/smtp/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	serverTLS, clientTLS := certificate(t)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialog{serverTLS: serverTLS, clientTLS: clientTLS}
			d.play(t, string(text))
		})
	}
}

// dialog is one file in play. Every "server:" line begins a new connection to a
// new server.
type dialog struct {
	serverTLS, clientTLS *tls.Config

	receiver *fakeReceiver
	conn     net.Conn
	in       *bufio.Reader
	seen     int // messages that STORED lines have named
}

func (d *dialog) play(t *testing.T, text string) {
	for i, line := range strings.Split(text, "\n") {
		if err := d.line(t, line); err != nil {
			t.Fatalf("line %d: %s\n%v", i+1, line, err)
		}
	}
	d.finish(t)
}

func (d *dialog) line(t *testing.T, line string) error {
	word, rest, _ := strings.Cut(line, ":")
	rest = strings.TrimPrefix(rest, " ")
	switch word {
	case "server":
		d.finish(t)
		return d.begin(t, rest)
	case "C":
		return d.send(rest + "\r\n")
	case "R":
		raw, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		return d.send(raw)
	case "S":
		return d.expect(rest)
	case "STARTTLS":
		conn := tls.Client(d.conn, d.clientTLS)
		d.conn, d.in = conn, bufio.NewReader(conn)
		return conn.Handshake()
	case "CLOSED":
		return d.expectClosed()
	case "STORED":
		return d.expectStored(rest)
	case "":
		return nil
	}
	if strings.HasPrefix(line, "#") {
		return nil
	}
	return errors.New("not a line of a dialog")
}

// begin starts a server with the named settings and connects to it.
func (d *dialog) begin(t *testing.T, settings string) error {
	d.receiver = &fakeReceiver{}
	d.seen = 0
	cfg := Config{
		Hostname: "mx.example.org",
		Receiver: d.receiver,
		Limits:   Limits{ErrorDelay: time.Nanosecond},
	}
	var implicit *tls.Config
	for word := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "mx":
		case "lmtp":
			cfg.LMTP = true
		case "submission":
			cfg.Auth, cfg.RequireAuth = fakeAuth{}, true
		case "auth":
			cfg.Auth = fakeAuth{}
		case "plaintext":
			cfg.AllowPlaintextAuth = true
		case "trusted":
			cfg.TrustedNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		case "xclient":
			cfg.XClientNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		case "starttls":
			cfg.TLS = d.serverTLS
		case "tls":
			implicit = d.serverTLS
		case "greetdelay":
			cfg.GreetDelay = 10 * time.Second
		case "size":
			cfg.Limits.MaxMessageSize = int64(n)
		case "errors":
			cfg.Limits.MaxErrors = n
		case "idle":
			cfg.Limits.MaxIdleCommands = n
		case "transactions":
			cfg.Limits.MaxTransactions = n
		default:
			return fmt.Errorf("unknown setting %q", word)
		}
	}
	return d.connect(serve(t, New(cfg), implicit), implicit != nil)
}

func (d *dialog) connect(addr string, onTLS bool) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if onTLS {
		conn = tls.Client(conn, d.clientTLS)
	}
	d.conn, d.in = conn, bufio.NewReader(conn)
	return nil
}

// send does not wait for the server to read.
func (d *dialog) send(raw string) error {
	_, err := io.WriteString(d.conn, raw)
	return err
}

// expect compares one line: as it is, as a prefix before "...", or as a regular
// expression between slashes.
func (d *dialog) expect(want string) error {
	got, err := d.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("read %q: %w", got, err)
	}
	got, ok := strings.CutSuffix(got, "\r\n")
	if !ok {
		return fmt.Errorf("%q does not end in CRLF", got)
	}
	if pattern, ok := strings.CutPrefix(want, "/"); ok {
		if !regexp.MustCompile("^(?:" + strings.TrimSuffix(pattern, "/") + ")$").MatchString(got) {
			return fmt.Errorf("got %q", got)
		}
		return nil
	}
	if prefix, ok := strings.CutSuffix(want, "..."); ok && strings.HasPrefix(got, prefix) {
		return nil
	}
	if got != want {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func (d *dialog) expectClosed() error {
	rest, err := io.ReadAll(d.in)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("not closed, the server said %q", rest)
	}
	return nil
}

// expectStored compares the next stored message with "protocol <from> <to>,<to>
// "content"", or with "nothing more".
func (d *dialog) expectStored(want string) error {
	all := d.receiver.all()
	if want == "nothing more" {
		if len(all) > d.seen {
			return fmt.Errorf("got %s", all[d.seen])
		}
		return nil
	}
	if len(all) <= d.seen {
		return errors.New("got nothing more")
	}
	m := all[d.seen]
	d.seen++
	if m.String() != want {
		return fmt.Errorf("got %s", m)
	}
	return nil
}

// String is the form of a STORED line.
func (m stored) String() string {
	var to []string
	for _, r := range m.to {
		s := "<" + r.Address.String() + ">"
		if r.Notify != 0 {
			s += "NOTIFY=" + r.Notify.String()
		}
		if r.ORcpt != "" {
			s += "ORCPT=" + r.ORcpt
		}
		to = append(to, s)
	}
	s := m.client.Protocol + " " + m.from.String()
	if m.from.Ret != "" {
		s += "RET=" + string(m.from.Ret)
	}
	if m.from.EnvID != "" {
		s += "ENVID=" + m.from.EnvID
	}
	return s + " " + strings.Join(to, ",") + " " + strconv.Quote(m.content)
}

// finish ends a connection; no dialog may leave a message that it did not
// expect, or a transaction open.
func (d *dialog) finish(t *testing.T) {
	t.Helper()
	if d.conn == nil {
		return
	}
	d.conn.Close()
	if err := d.expectStored("nothing more"); err != nil {
		t.Error(err)
	}
}
