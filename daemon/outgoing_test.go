package daemon

import (
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/delivery/queue"
	"gomaild/delivery/routing"
	"gomaild/internal/config"
	"gomaild/internal/maillog"
	"gomaild/mail"
)

// sink is another host's SMTP server. It takes everything but recipients that
// begin with "refused" (550) or, once, "later" (451).
type sink struct {
	mu   sync.Mutex
	got  []string // "from > to,to\ncontent"
	put  map[string]bool
	came chan struct{} // a message came
}

type sinkSession struct {
	s    *sink
	from string
	to   []string
}

func newSink(t *testing.T) (*sink, string) {
	t.Helper()
	return newSinkAt(t, "127.0.0.1:0")
}

func newSinkAt(t *testing.T, addr string) (*sink, string) {
	t.Helper()
	s := &sink{put: map[string]bool{}, came: make(chan struct{}, 100)}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &sinkSession{s: s}, nil }))
	server.Domain = "far.test"
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Close(); running.Wait() })
	return s, l.Addr().String()
}

func (c *sinkSession) Mail(from string, _ *gosmtp.MailOptions) error { c.from = from; return nil }

func (c *sinkSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case strings.HasPrefix(to, "refused"):
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "nobody of that name"}
	case strings.HasPrefix(to, "later") && !c.s.put[to]:
		c.s.put[to] = true
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 2, 0}, Message: "later"}
	}
	c.to = append(c.to, to)
	return nil
}

func (c *sinkSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.got = append(c.s.got, c.from+" > "+strings.Join(c.to, ",")+"\n"+string(text))
	c.s.came <- struct{}{}
	return nil
}

func (c *sinkSession) Reset()        { c.from, c.to = "", nil }
func (c *sinkSession) Logout() error { return nil }

// await waits for n messages and returns all.
func (s *sink) await(t *testing.T, n int) []string {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		got := append([]string{}, s.got...)
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-s.came:
		case <-limit:
			t.Fatalf("%d of %d messages came: %q", len(got), n, got)
		}
	}
}

// awaitFile waits until a folder of alice holds a message with the text.
func (w *world) awaitFile(t *testing.T, user, folder, text string) string {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	limit := time.After(30 * time.Second)
	for {
		files, err := filepath.Glob(w.path("mail/example.test/" + user + "@example.test/" + folder + "/new/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), text) {
				return string(b)
			}
		}
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("no message of %s says %q; there are %q", user, text, files)
		}
	}
}

// sendingWorld is a daemon that sends through a sink.
func sendingWorld(t *testing.T) (*world, *sink) {
	t.Helper()
	return sendingWorldWith(t, Options{})
}

func sendingWorldWith(t *testing.T, o Options) (*world, *sink) {
	t.Helper()
	s, addr := newSink(t)
	w := newWorld(t)
	host, port, _ := net.SplitHostPort(addr)
	head := fmt.Sprintf("remote.relay_host = \"[%s]:%s\"\ndns.servers = [\"127.0.0.1:1\"]\nqueue.schedule = [\"1s\"]\nremote.srs_domain = \"srs.test\"\n", host, port)
	d, err := New(w.config(t, head, listeners), o)
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	return w.start(t), s
}

// TestSending: what a user submits to another host goes there, one that is put
// off goes later, and of one that is refused the sender is told.
func TestSending(t *testing.T) {
	t.Parallel()
	w, s := sendingWorld(t)
	for _, to := range []string{"x@far.test", "later@far.test", "refused@far.test"} {
		if err := w.submitTo(t, to, "to "+to); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(s.await(t, 2), "\n---\n")
	for _, want := range []string{"bob@example.test > x@far.test\n", "bob@example.test > later@far.test\n", "Subject: to x@far.test", "Received: by mail.example.test with ESMTPSA"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	report := w.awaitFile(t, "bob", "", "Undelivered Mail")
	for _, want := range []string{"Return-Path: <>", "Final-Recipient: rfc822; refused@far.test", "nobody of that name", "Subject: to refused@far.test"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
}

// TestRedirect: a Sieve script sends mail on, to another host and to a user
// here, and answers; the message is not in the INBOX.
func TestRedirect(t *testing.T) {
	t.Parallel()
	log := new(safeBuffer)
	w, s := sendingWorldWith(t, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	home := w.path("mail/example.test/alice@example.test")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "require [\"vacation\"]; redirect \"x@far.test\"; redirect \"bob@example.test\"; vacation \"away\";"
	if err := os.WriteFile(filepath.Join(home, ".dovecot.sieve"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", w.addr(t, config.MX, config.StartTLS))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := transmit(t, conn, false, "on its way"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.await(t, 2), "\n"); !strings.Contains(got, "> x@far.test") || !strings.Contains(got, "Subject: on its way") {
		t.Errorf("the other host got %s", got)
	}
	w.awaitFile(t, "bob", "", "Subject: on its way")
	if files, _ := filepath.Glob(home + "/new/*"); len(files) != 0 {
		t.Errorf("alice keeps %v", files)
	}
	if err := w.Stop(t.Context()); err != nil { // every line is written then
		t.Fatal(err)
	}
	story := maillog.NewStory("alice@example.test")
	for learned := true; learned; {
		if learned, err = story.Find(strings.NewReader(log.String())); err != nil {
			t.Fatal(err)
		}
	}
	var told strings.Builder
	if err := story.Tell(strings.NewReader(log.String()), func(e *maillog.Entry) error {
		fmt.Fprintf(&told, "%s to <%s> because of %t: %s\n", e.Event, e.Get("to"), e.Get("about") != "", e.Get("actions"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"filtered to <alice@example.test> because of false: redirect to <x@far.test> -- ", "; redirect to <bob@example.test> -- ", "; vacation -- ",
		"queued to <x@far.test> because of true", "queued to <bob@example.test> because of true",
		"delivered to <alice@example.test> because of false", "delivered to <bob@example.test> because of false",
	} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("the log does not tell %q:\n%s", want, told.String())
		}
	}
}

// TestForward: mail of others that an alias sends on has a reverse-path of ours,
// and the notification that comes back by it goes to its sender.
func TestForward(t *testing.T) {
	t.Parallel()
	w, s := sendingWorld(t)
	db, err := sql.Open("sqlite", "file:"+w.path("accounts.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO alias (address, goto, domain) VALUES ('out@example.test', 'x@far.test,refused@far.test', 'example.test')"); err != nil {
		t.Fatal(err)
	}
	c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	if err := c.SendMail("s@origin.test", []string{"out@example.test"}, strings.NewReader(content("going on"))); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(s.await(t, 2), "\n---\n")
	for _, want := range []string{"=origin.test=s@srs.test > x@far.test\n", "SRS0=", " > s@origin.test\n", "Final-Recipient: rfc822; refused@far.test", "Original-Recipient: rfc822;out@example.test"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	c = gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	err = c.SendMail("s@origin.test", []string{"SRS0=AAAAAAAA=AA=origin.test=s@srs.test"}, strings.NewReader(content("forged")))
	if err == nil || !strings.Contains(err.Error(), "User unknown") {
		t.Errorf("a forged reverse-path: %v", err)
	}
}

// TestPutOff: a mailbox that cannot be written to is owed what another has, and
// gets it later, once.
func TestPutOff(t *testing.T) {
	t.Parallel()
	w, _ := sendingWorld(t)
	bob := w.path("mail/example.test/bob@example.test")
	if err := os.MkdirAll(filepath.Dir(bob), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bob, nil, 0o600); err != nil { // in the place of the directory
		t.Fatal(err)
	}
	c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	if err := c.SendMail("s@remote.test", []string{"alice@example.test", "bob@example.test"}, strings.NewReader(content("for both"))); err != nil {
		t.Fatal(err)
	}
	w.awaitFile(t, "alice", "", "Subject: for both")
	if err := os.Remove(bob); err != nil {
		t.Fatal(err)
	}
	got := w.awaitFile(t, "bob", "", "Subject: for both")
	if !strings.HasPrefix(got, "Return-Path: <s@remote.test>\nDelivered-To: bob@example.test\nReceived: ") || strings.Count(got, "Received: ") != 1 {
		t.Errorf("bob has %s", got)
	}
}

func TestDestination(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		transport string
		want      queue.Destination
	}{
		{":", queue.Destination{Transport: "smtp", Host: "far.test"}},
		{"relay:", queue.Destination{Transport: "smtp", Host: "far.test", Direct: true}},
		{":[hop.test]", queue.Destination{Transport: "smtp", Host: "hop.test", NoMX: true, Direct: true}},
		{"smtp:[192.0.2.1]:2525", queue.Destination{Transport: "smtp", Host: "192.0.2.1", Port: 2525, NoMX: true, Direct: true}},
		{"relay:Hub.test", queue.Destination{Transport: "smtp", Host: "hub.test", Direct: true}},
		{"error:5.7.1 go away", queue.Destination{Transport: "error", Host: "550 5.7.1 go away"}},
		{"lmtp:inet:[10.0.0.1]:24", queue.Destination{Transport: "lmtp", Host: "10.0.0.1", Port: 24, NoMX: true}},
		{"lmtp:unix:/run/lmtp", queue.Destination{Transport: "lmtp", Host: "/run/lmtp"}},
	} {
		transport, err := routing.ParseTransport(tt.transport)
		if err != nil {
			t.Fatal(err)
		}
		if got := destination(mail.Address{Local: "a", Domain: "FAR.test"}, transport); got != tt.want {
			t.Errorf("%q: %+v", tt.transport, got)
		}
	}
	if s := mail.StatusOf(failing("451 4.7.1 not now")); s.Code != 451 || s.Enhanced != "4.7.1" || s.Text != "not now" {
		t.Errorf("%+v", s)
	}
}

func TestReadLogin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "login")
	for text, ok := range map[string]bool{"user\nsecret\n": true, "user\r\nsecret": true, "user": false, "": false, "\nsecret\n": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		login, err := readLogin(file)
		if (err == nil) != ok || ok && (login.Name != "user" || login.Password != "secret") {
			t.Errorf("%q: %+v, %v", text, login, err)
		}
	}
}

// TestTablesWhileRunning: a transport map counts for what comes next without a
// restart, a bad one keeps the old, and BCC maps copy.
func TestTablesWhileRunning(t *testing.T) {
	t.Parallel()
	s, addr := newSink(t)
	w := newWorld(t)
	put := func(text string) {
		if err := os.WriteFile(w.path("transport"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-time.Minute) // a change that nobody is in the middle of
		if err := os.Chtimes(w.path("transport"), past, past.Add(time.Duration(len(text))*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := net.SplitHostPort(addr)
	put("far.test error:5.7.1 not yet\n")
	head := fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nrouting.transport_maps = [%q]\nrouting.recipient_bcc_maps = [\"inline:{@far.test=alice@example.test}\"]\n", "hash:"+w.path("transport"))
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	if err := w.submitTo(t, "x@far.test", "too early"); err == nil || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("the old map: %v", err)
	}
	put(fmt.Sprintf("far.test smtp:[%s]:%s\n", host, port))
	limit := time.Now().Add(20 * time.Second)
	for {
		if err = w.submitTo(t, "x@far.test", "in time"); err == nil || time.Now().After(limit) {
			break
		}
	}
	if err != nil {
		t.Fatalf("the new map: %v", err)
	}
	put("far.test what is this\n")
	if got := s.await(t, 1)[0]; !strings.Contains(got, "> x@far.test\n") || !strings.Contains(got, "Subject: in time") {
		t.Errorf("the other host got %s", got)
	}
	w.awaitFile(t, "alice", "", "Subject: in time")
	if err := w.submitTo(t, "x@far.test", "with the last good map"); err != nil {
		t.Errorf("a bad map: %v", err)
	}
	s.await(t, 2)
}

// TestNotices: of a mailbox here, and of a host that tells no more, the sender is
// told who asked; in the words of the administrator.
func TestNotices(t *testing.T) {
	t.Parallel()
	s, addr := newSink(t)
	w := newWorld(t)
	host, port, _ := net.SplitHostPort(addr)
	db, err := sql.Open("sqlite", "file:"+w.path("accounts.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO alias (address, goto, domain, active) VALUES ('both@example.test', 'alice@example.test,y@far.test', 'example.test', 1)"); err != nil {
		t.Fatal(err)
	}
	words := "success_template = <<END\nFrom: postman\nSubject: It is there\n\nDear sender of $myhostname\nEND\n"
	if err := os.WriteFile(w.path("words"), []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("remote.relay_host = \"[%s]:%s\"\ndns.servers = [\"127.0.0.1:1\"]\nqueue.bounce_templates = %q\n", host, port, w.path("words"))
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	o := w.outgoing.Load()
	from := mail.ReversePath{Address: mail.Address{Local: "bob", Domain: "example.test"}, EnvID: "E7"}
	far := queue.Recipient{Recipient: mail.Recipient{Address: mail.Address{Local: "x", Domain: "far.test"}, Notify: mail.NotifySuccess}, Destination: queue.Destination{Transport: "smtp", Host: "far.test"}}
	if _, err := o.queue.Add(queue.Envelope{From: from, To: []queue.Recipient{far}}, strings.NewReader(content("far away"))); err != nil {
		t.Fatal(err)
	}
	s.await(t, 1)
	report := w.awaitFile(t, "bob", "", "Action: relayed")
	for _, want := range []string{"Subject: It is there", "Dear sender of " + w.hostname, "Original-Envelope-Id: E7", "Final-Recipient: rfc822; x@far.test", "Return-Path: <>"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	defer c.Close()
	for to, action := range map[string]string{"alice@example.test": "delivered", "both@example.test": "expanded"} {
		if err := c.Mail("bob@example.test", &gosmtp.MailOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt(to, &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}}); err != nil {
			t.Fatal(err)
		}
		data, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(data, content("near by")); err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		w.awaitFile(t, "bob", "", "Final-Recipient: rfc822; "+to+"\nAction: "+action+"\n")
	}
}

// TestNoticeRequiresTLS: what is told of a message that must not travel without TLS
// goes to a host without all the same (RFC 8689 section 5), and holds no more of it
// than its header.
func TestNoticeRequiresTLS(t *testing.T) {
	t.Parallel()
	w, s := sendingWorld(t)
	from := mail.ReversePath{Address: mail.Address{Local: "x", Domain: "far.test"}}
	failed := []queue.Outcome{{Recipient: queue.Recipient{Recipient: mail.Recipient{Address: mail.Address{Local: "bob", Domain: "example.test"}}}}}
	for i, requireTLS := range []bool{true, false} {
		e := queue.Envelope{From: from, RequireTLS: requireTLS}
		if err := w.outgoing.Load().tell(t.Context(), queue.NoticeFailed, e, strings.NewReader(content("secret")), failed); err != nil {
			t.Fatal(err)
		}
		if got := s.await(t, i+1)[i]; strings.Contains(got, "text/rfc822-headers") != requireTLS {
			t.Errorf("REQUIRETLS: %t, the notification is\n%s", requireTLS, got)
		}
	}
}

// TestReloadSending: keys of [queue] and [remote] change without a restart; what
// waited goes the new way.
func TestReloadSending(t *testing.T) {
	t.Parallel()
	s, addr := newSink(t)
	w := newWorld(t)
	host, port, _ := net.SplitHostPort(addr)
	keys := func(port string) string {
		return fmt.Sprintf("remote.relay_host = \"[%s]:%s\"\ndns.servers = [\"127.0.0.1:1\"]\nqueue.schedule = [\"1s\"]\n", host, port)
	}
	d, err := New(w.config(t, keys("1"), listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	if err := w.submitTo(t, "x@far.test", "in the end"); err != nil {
		t.Fatal(err)
	}
	if n := w.outgoing.Load().queue.Stats().Messages; n != 1 {
		t.Errorf("%d messages in the queue", n)
	}
	if err := w.Reload(t.Context(), w.config(t, keys(port), listeners)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.applyToQueue(queueOrder{Action: queue.Retry}); err != nil {
		t.Fatal(err)
	}
	if got := s.await(t, 1)[0]; !strings.Contains(got, "Subject: in the end") {
		t.Errorf("got %s", got)
	}
	bad := w.config(t, "queue.bounce_templates = \"/nowhere/at/all\"\n", listeners)
	if err := w.Reload(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "queue.bounce_templates") {
		t.Errorf("a file that is not there: %v", err)
	}
}
