package daemon

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/internal/config"
	"gomaild/mail"
)

const password = "Secret-12x"

// listeners are one of each kind, on free ports.
const listeners = `
[[listener]]
type = "mx"
address = "127.0.0.1:0"
[[listener]]
type = "submission"
address = "127.0.0.1:0"
[[listener]]
type = "lmtp"
address = "127.0.0.1:0"
[[listener]]
type = "imap"
address = "127.0.0.1:0"
[[listener]]
type = "imap"
address = "127.0.0.1:0"
tls = "implicit"
[[listener]]
type = "lda"
`

// world is a directory with a database, and a daemon in it.
type world struct {
	*Daemon
	dir string
}

// newWorld makes a database with alice and bob and a daemon that is not
// started.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	if err := os.Mkdir(w.path("mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.makeAccounts(t)
	d, err := New(w.config(t, "", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) makeAccounts(t *testing.T) {
	t.Helper()
	db, err := postfixadmin.Open(t.Context(), postfixadmin.Config{Driver: postfixadmin.SQLite, Path: w.path("accounts.sqlite"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.CreateSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.AddDomain(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	hash, err := auth.Hash("PLAIN", password)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "bob"} {
		if err := db.AddMailbox(t.Context(), mail.Address{Local: user, Domain: "example.test"}, hash, "", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// config is a configuration in the world's directory: head, then the usual,
// then the listeners.
func (w *world) config(t *testing.T, head, listeners string) *config.Config {
	t.Helper()
	c, err := w.parse(t, head, listeners)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) parse(t *testing.T, head, listeners string) (*config.Config, error) {
	t.Helper()
	text := head
	for _, line := range []string{
		`hostname = "mail.example.test"`, `run_dir = "run"`, `grace = "10s"`,
		`storage.root = "mail"`, `accounts.path = "accounts.sqlite"`,
	} {
		if key, _, _ := strings.Cut(line, " ="); !strings.Contains(head, key+" =") {
			text += line + "\n"
		}
	}
	file := w.path("gomaild.toml")
	if err := os.WriteFile(file, []byte(text+listeners), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(file)
}

// start starts the daemon and stops it at the end of the test, when nothing of
// it may be left.
func (w *world) start(t *testing.T) *world {
	t.Helper()
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		if open := openBelow(t, w.path("mail")); len(open) > 0 {
			t.Errorf("after Stop there are open files: %v", open)
		}
	})
	return w
}

// openBelow lists the open files of this process below dir.
func openBelow(t *testing.T, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(target, dir) {
			open = append(open, target)
		}
	}
	return open
}

// addr is the real address of a listener.
func (w *world) addr(t *testing.T, kind config.ListenerType, mode config.TLSMode) string {
	t.Helper()
	for _, a := range w.Addrs() {
		if a.Type == kind && a.TLS == mode {
			return a.String()
		}
	}
	t.Fatalf("nothing listens for %s %s", kind, mode)
	return ""
}

// trusting accepts any certificate: tests look at it themselves.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func content(subject string) string {
	return fmt.Sprintf("From: bob@example.test\r\nTo: alice@example.test\r\nSubject: %s\r\n\r\nHello.\r\n", subject)
}

// submit logs in as bob over STARTTLS and sends to alice.
func (w *world) submit(t *testing.T, subject string) error {
	t.Helper()
	return w.submitTo(t, "alice@example.test", subject)
}

func (w *world) submitTo(t *testing.T, to, subject string) error {
	t.Helper()
	return w.submitAs(t, "bob", to, nil, content(subject))
}

// submitAs logs in as a user over STARTTLS and sends a message.
func (w *world) submitAs(t *testing.T, user, to string, opts *gosmtp.MailOptions, message string) error {
	t.Helper()
	c, err := gosmtp.DialStartTLS(w.addr(t, config.Submission, config.StartTLS), trusting())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", user+"@example.test", password)); err != nil {
		return err
	}
	if err := c.Mail(user+"@example.test", opts); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	data, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(data, message); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// transmit sends to alice without a login, to an MX or by LMTP.
func transmit(t *testing.T, conn net.Conn, lmtp bool, subject string) error {
	t.Helper()
	c := gosmtp.NewClient(conn)
	if lmtp {
		c = gosmtp.NewClientLMTP(conn)
	}
	defer c.Close()
	if err := c.SendMail("someone@example.org", []string{"alice@example.test"}, strings.NewReader(content(subject))); err != nil {
		return err
	}
	return c.Quit()
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// login opens an IMAP session of alice over implicit TLS.
func (w *world) login(t *testing.T) *imapclient.Client {
	t.Helper()
	return w.loginAs(t, "alice")
}

// loginAs is login for another user.
func (w *world) loginAs(t *testing.T, user string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(w.addr(t, config.IMAP, config.Implicit), &imapclient.Options{TLSConfig: trusting()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(user+"@example.test", password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// subjects are those of the messages in alice's INBOX.
func subjects(t *testing.T, c *imapclient.Client) []string {
	t.Helper()
	selected, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	messages, err := c.Fetch(all, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range messages {
		list = append(list, m.Envelope.Subject)
	}
	return list
}

// greeting is the first line that a server says.
func greeting(t *testing.T, address string) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := dial(t, "tcp", address).Read(b)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b[:n])
}
