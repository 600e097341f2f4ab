package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// host is where everything listens.
const host = "127.0.0.1"

// password is that of every mailbox in a world; its hash is made once by the
// real `gomaild account add`.
const password = "Secret-12x"

// binary is the gomaild of this tree, built once for the test binary.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gomaild-e2e")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "gomaild")
	cmd := exec.Command("go", "build", "-o", out, "gomaild/cmd/gomaild")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, nil
})

// TestMain removes the binary and ends the database when all is done.
func TestMain(m *testing.M) {
	code := m.Run()
	mariadb.Stop()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// gomaild is the path of the built binary.
func gomaild(tb testing.TB) string {
	tb.Helper()
	path, err := binary()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// world is one running gomaild with its own root, database and ports.
type world struct {
	dir, config, root string

	mx, msa, msas, lmtp, imap, imaps int // ports
	pop3, pop3s, sieve               int
	lda                              string // socket

	log   string // file
	cmd   *exec.Cmd
	sys   *syscall.SysProcAttr // of cmd, default none
	ended chan error           // one value when cmd has ended
	watch sync.Once            // of the end of the test
}

// newWorld writes a configuration and a database with alice and bob. top is
// TOML that comes first in the file.
func newWorld(tb testing.TB, top string) *world {
	tb.Helper()
	return newWorldWith(tb, top, "")
}

// newWorldWith is newWorld with keys for the IMAP and POP3 listeners.
func newWorldWith(tb testing.TB, top, readerKeys string) *world {
	tb.Helper()
	w := &world{dir: tb.TempDir()}
	w.log = filepath.Join(w.dir, "gomaild.log")
	w.root = filepath.Join(w.dir, "mail")
	w.config = filepath.Join(w.dir, "gomaild.toml")
	w.lda = filepath.Join(w.dir, "run", "lda")
	for _, p := range []*int{&w.mx, &w.msa, &w.msas, &w.lmtp, &w.imap, &w.imaps, &w.pop3, &w.pop3s, &w.sieve} {
		*p = peertest.FreePort(tb)
	}
	if err := os.MkdirAll(w.root, 0o700); err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"mail.example.test\"\nrun_dir = %q\nlimits.imap_sessions = 0\n%s\n", filepath.Join(w.dir, "run"), top)
	fmt.Fprintf(&b, "[storage]\nroot = %q\n[accounts]\npath = %q\n", w.root, filepath.Join(w.dir, "accounts.sqlite"))
	w.makeCertificate(tb)
	fmt.Fprintf(&b, "[[tls.certificate]]\ncert = %q\nkey = %q\n", w.certificate(), w.key())
	for _, l := range []struct {
		kind string
		port int
		tls  string
	}{
		{"mx", w.mx, "starttls"},
		{"submission", w.msa, "starttls"},
		{"submission", w.msas, "implicit"},
		{"lmtp", w.lmtp, "none"},
		{"imap", w.imap, "starttls"},
		{"imap", w.imaps, "implicit"},
		{"pop3", w.pop3, "starttls"},
		{"pop3", w.pop3s, "implicit"},
		{"managesieve", w.sieve, "starttls"},
	} {
		fmt.Fprintf(&b, "[[listener]]\ntype = %q\naddress = \"%s:%d\"\ntls = %q\nmax_per_client = 0\n", l.kind, host, l.port, l.tls)
		if l.kind == "imap" || l.kind == "pop3" {
			b.WriteString(readerKeys)
		}
	}
	b.WriteString("[[listener]]\ntype = \"lda\"\n")
	if err := os.WriteFile(w.config, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	for _, user := range []string{"alice", "bob"} {
		w.addAccount(tb, user+"@example.test")
	}
	return w
}

func (w *world) addAccount(tb testing.TB, address string) {
	tb.Helper()
	peertest.Run(tb, password+"\n", gomaild(tb), "account", "add", "-c", w.config, "--create-domain", "--password-stdin", address)
}

// start runs the server and waits until its log says that it serves. The log is
// a file: reading a pipe would cost processor time that belongs to the server.
func (w *world) start(tb testing.TB) {
	tb.Helper()
	w.launch(tb)
	w.awaitReady(tb)
}

// launch runs the server, which is stopped at the end of the test.
func (w *world) launch(tb testing.TB) {
	tb.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	w.cmd = exec.Command(gomaild(tb), "serve", "-c", w.config)
	w.cmd.Stderr = log
	w.cmd.SysProcAttr = w.sys
	if err := w.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	w.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(w.cmd, w.ended)
	w.watch.Do(func() {
		tb.Cleanup(func() {
			running := w.cmd != nil
			w.stop(tb)
			if t, ok := tb.(*testing.T); ok && running && !t.Failed() {
				w.checkAccounts(t)
			}
			if tb.Failed() {
				tb.Logf("log of gomaild:\n%.20000s", w.readLog(tb))
			}
		})
	})
}

// checkAccounts holds the invariants of the mail on disk at the end of a test.
func (w *world) checkAccounts(t *testing.T) {
	t.Helper()
	cmd := exec.Command(gomaild(t), "account", "check", "-c", w.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("account check: %v\n%.2000s", err, out)
	}
}

func (w *world) awaitReady(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !strings.Contains(w.readLog(tb), "msg=ready") {
		select {
		case <-look.C:
		case err := <-w.ended:
			w.cmd = nil
			tb.Fatalf("gomaild ended with %v:\n%s", err, w.readLog(tb))
		case <-ctx.Done():
			tb.Fatalf("gomaild does not get ready:\n%s", w.readLog(tb))
		}
	}
}

func (w *world) readLog(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// stop ends the server as pacemaker would and waits for it.
func (w *world) stop(tb testing.TB) {
	tb.Helper()
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	w.cmd = nil
	if err := <-w.ended; err != nil {
		tb.Errorf("gomaild ended with %v", err)
	}
}

// kill ends the server as a power cut of the process would.
func (w *world) kill(tb testing.TB) {
	tb.Helper()
	_ = w.cmd.Process.Kill()
	w.cmd = nil
	<-w.ended
}

func (w *world) certificate() string { return filepath.Join(w.dir, "cert.pem") }
func (w *world) key() string         { return filepath.Join(w.dir, "key.pem") }

// makeCertificate makes a self-signed certificate for mail.example.test and
// loopback, for clients that want to trust one by its file.
func (w *world) makeCertificate(tb testing.TB) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "mail.example.test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(60 * 24 * time.Hour),
		DNSNames:              []string{"mail.example.test", "localhost"},
		IPAddresses:           []net.IP{net.ParseIP(host)},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, w.certificate(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	writeFile(tb, w.key(), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func (w *world) addr(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// maildir is the Maildir of an account.
func (w *world) maildir(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return filepath.Join(w.root, domain, address)
}

// stored lists the message files of an INBOX, in new/ and cur/.
func (w *world) stored(tb testing.TB, address string) []string {
	tb.Helper()
	var names []string
	for _, sub := range []string{"new", "cur"} {
		found, err := filepath.Glob(filepath.Join(w.maildir(address), sub, "*"))
		if err != nil {
			tb.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}
