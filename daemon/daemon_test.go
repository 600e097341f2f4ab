package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/internal/peertest"
	"gomaild/mail"
)

// TestMailInMailOut sends by every way in and reads by IMAP, with clients that
// share no code with us.
func TestMailInMailOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	if err := w.submit(t, "submitted"); err != nil {
		t.Error(err)
	}
	if err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "from a stranger"); err != nil {
		t.Error(err)
	}
	if err := transmit(t, dial(t, "tcp", w.addr(t, config.LMTP, config.NoTLS)), true, "by LMTP"); err != nil {
		t.Error(err)
	}
	if err := transmit(t, dial(t, "unix", w.path("run/lda")), true, "by the LDA's socket"); err != nil {
		t.Error(err)
	}
	got := subjects(t, w.login(t))
	slices.Sort(got)
	if want := "by LMTP, by the LDA's socket, from a stranger, submitted"; strings.Join(got, ", ") != want {
		t.Errorf("alice has %q", got)
	}
}

// TestDoors holds what each way in demands.
func TestDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	err := transmit(t, dial(t, "tcp", w.addr(t, config.Submission, config.StartTLS)), false, "x")
	if err == nil || !strings.Contains(err.Error(), "uth") {
		t.Errorf("submission without a login: %v", err)
	}
	if g := greeting(t, w.addr(t, config.MX, config.StartTLS)); !strings.HasPrefix(g, "220 mail.example.test ") {
		t.Errorf("the MX says %q", g)
	}
	if g := greeting(t, w.addr(t, config.IMAP, config.StartTLS)); !strings.HasPrefix(g, "* OK ") || !strings.Contains(g, "LOGINDISABLED") {
		t.Errorf("IMAP without TLS says %q", g)
	}
}

// TestTwoDaemons runs two servers in one process: nothing of one may be seen in
// the other.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	one, two := newWorld(t).start(t), newWorld(t).start(t)
	if err := one.submit(t, "for one"); err != nil {
		t.Fatal(err)
	}
	if err := two.submit(t, "for two"); err != nil {
		t.Fatal(err)
	}
	if got := subjects(t, one.login(t)); !slices.Equal(got, []string{"for one"}) {
		t.Errorf("the first has %q", got)
	}
	if err := one.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := subjects(t, two.login(t)); !slices.Equal(got, []string{"for two"}) {
		t.Errorf("the second has %q after the first has stopped", got)
	}
}

// TestStopLeavesNothing runs alone, so that every goroutine and every file is
// of this test.
func TestStopLeavesNothing(t *testing.T) { //nolint:paralleltest // counts goroutines
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.submit(t, "x"); err != nil {
		t.Fatal(err)
	}
	idle := w.login(t)
	if n := len(subjects(t, idle)); n != 1 {
		t.Errorf("%d messages", n)
	}
	if len(openBelow(t, w.path("mail"))) == 0 {
		t.Error("nothing is open while it runs: the test looks in the wrong place")
	}
	begin := time.Now()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("Stop with idle clients took %v", took)
	}
	if open := openBelow(t, w.dir); len(open) > 0 {
		t.Errorf("open files: %v", open)
	}
	if _, err := os.Lstat(w.path("run/lda")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	_ = idle.Close()
	if left := ours(); left != "" {
		t.Errorf("goroutines are left:\n%s", left)
	}
}

// ours are the stacks of goroutines, this one apart, that run code of gomaild.
func ours() string {
	b := make([]byte, 1<<20)
	stacks := strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n")
	var left []string
	for _, s := range stacks[1:] {
		// A test that has not begun, TestMain, the database of the other tests.
		apart := strings.Contains(s, "testing.(*T).Parallel") || strings.Contains(s, "testing.(*M).Run") || strings.Contains(s, "mariadbtest")
		if strings.Contains(s, "gomaild/") && !apart {
			left = append(left, s)
		}
	}
	return strings.Join(left, "\n\n")
}

// TestStopTellsIdleClients holds the first phase: who waits hears why.
func TestStopTellsIdleClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	mx := dial(t, "tcp", w.addr(t, config.MX, config.StartTLS))
	reader := lines(mx)
	if l := <-reader; !strings.HasPrefix(l, "220 ") {
		t.Fatal(l)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if l := <-reader; !strings.HasPrefix(l, "421 4.3.2 ") {
		t.Errorf("the idle client heard %q", l)
	}
}

// lines reads from a connection until it ends.
func lines(conn net.Conn) <-chan string {
	ch := make(chan string, 16)
	go func() {
		defer close(ch)
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if n > 0 {
				ch <- string(b[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return ch
}

// TestStopLetsBusyClientsFinish holds the grace: a message that is coming in is
// taken, and answered 250, before Stop returns.
func TestStopLetsBusyClientsFinish(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	conn, replies := inData(t, w)
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(t.Context()) }()
	waitUntilClosed(t, w, conn)
	if _, err := conn.Write([]byte("Subject: finished\r\n\r\nx\r\n.\r\n")); err != nil {
		t.Fatal(err)
	}
	if l := <-replies; !strings.HasPrefix(l, "250 ") {
		t.Errorf("the busy client heard %q", l)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := len(stored(t, w)); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// TestStopCutsOff holds the end of the grace.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	_, replies := inData(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Stop(ctx); !errors.Is(err, errCutOff) {
		t.Errorf("Stop said %v", err)
	}
	for l := range replies {
		if strings.HasPrefix(l, "250 ") {
			t.Errorf("a message that was cut off was answered %q", l)
		}
	}
	if n := len(stored(t, w)); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

// inData opens an SMTP session and brings it to the middle of its content.
func inData(t *testing.T, w *world) (net.Conn, <-chan string) {
	t.Helper()
	conn := dial(t, "tcp", w.addr(t, config.MX, config.StartTLS))
	replies := lines(conn)
	for _, command := range []string{"", "HELO x\r\n", "MAIL FROM:<s@example.org>\r\n", "RCPT TO:<alice@example.test>\r\n", "DATA\r\n"} {
		if _, err := conn.Write([]byte(command)); err != nil {
			t.Fatal(err)
		}
		if l := <-replies; l[0] != '2' && l[0] != '3' {
			t.Fatalf("%q: %q", command, l)
		}
	}
	return conn, replies
}

// waitUntilClosed returns when the port of a session is closed.
func waitUntilClosed(t *testing.T, _ *world, session net.Conn) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", session.RemoteAddr().String())
		if err != nil {
			return
		}
		_ = conn.Close()
		runtime.Gosched()
	}
}

// stored are alice's message files.
func stored(t *testing.T, w *world) []string {
	t.Helper()
	files, err := filepath.Glob(w.path("mail/example.test/alice@example.test/*/*S=*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFailedStart holds that a start that fails leaves nothing, says which line
// is at fault, and can be tried again.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := w.config(t, "", listeners+"[[listener]]\ntype = \"mx\"\naddress = \""+taken.Addr().String()+"\"\n")
	d, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Start(t.Context())
	if err == nil || !config.IsFault(err) || !strings.Contains(err.Error(), "address already in use; stop what listens there") {
		t.Errorf("Start said %v", err)
	}
	if open := openBelow(t, w.path("mail")); len(open) > 0 || len(d.Addrs()) > 0 {
		t.Errorf("left open: %v, %v", open, d.Addrs())
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Errorf("Stop after a failed Start: %v", err)
	}
	syscall.ForkLock.RLock() // a child would go on listening
	err = taken.Close()
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Errorf("the second Start: %v", err)
	}
	if err := d.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStartFaults holds what Start says about what is missing.
func TestStartFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, head, want string }{
		{"no mail root", `storage.root = "nowhere"` + "\n", "storage.root: open"},
		{"no certificate", "tls.certificate = [{cert = \"c.pem\", key = \"k.pem\"}]\n", "tls.certificate.cert: certificate: open"},
		{"no password file", "accounts.driver = \"mysql\"\naccounts.password_file = \"p\"\n", "accounts.password_file: open"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, err := New(w.config(t, tt.head, listeners), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Start(t.Context()); !config.IsFault(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start said %v, want %s", err, tt.want)
			}
		})
	}
}

// TestDatabaseDown holds that a server starts without its database, and that
// mail waits.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.Rename(w.path("accounts.sqlite"), w.path("away")); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "x")
	if err == nil || !strings.Contains(err.Error(), "451") && !strings.Contains(err.Error(), "emporary") {
		t.Errorf("without a database: %v", err)
	}
	if err := os.Rename(w.path("away"), w.path("accounts.sqlite")); err != nil {
		t.Fatal(err)
	}
	if err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "x"); err != nil {
		t.Errorf("with the database back: %v", err)
	}
}

// TestDeliverDirect delivers without a daemon, and beside one.
func TestDeliverDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := receive.Order{
		Session: "test", To: mail.Address{Local: "alice", Domain: "example.test"},
		From: mail.ReversePath{Address: mail.Address{Local: "s", Domain: "example.org"}},
	}
	for _, subject := range []string{"alone", "beside"} {
		order.Content = strings.NewReader(content(subject))
		if err := DeliverDirect(t.Context(), w.cfg, order); err != nil {
			t.Fatal(err)
		}
		if open := openBelow(t, w.path("mail")); subject == "alone" && len(open) > 0 {
			t.Errorf("open files: %v", open)
		}
		if subject == "alone" {
			w.start(t)
		}
	}
	if got := subjects(t, w.login(t)); !slices.Equal(got, []string{"alone", "beside"}) {
		t.Errorf("alice has %q", got)
	}
	order.To.Local = "nobody"
	order.Content = strings.NewReader(content("x"))
	err := DeliverDirect(t.Context(), w.cfg, order)
	if s := mail.StatusOf(err); err == nil || s.Code != 550 {
		t.Errorf("for nobody: %v", err)
	}
}
