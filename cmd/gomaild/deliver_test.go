package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
)

// lda is a daemon's lda socket, served by an implementation that is not ours,
// and the way without a daemon.
type lda struct {
	mu   sync.Mutex // guards the fields below
	from string
	to   string
	got  []byte
	utf8 bool

	rcptErr, dataErr error
	order            receive.Order // of the direct way
	orderText        string
	orderErr         error
}

func (l *lda) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return ldaSession{l}, nil }

type ldaSession struct{ *lda }

func (s ldaSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.utf8 = from, o.UTF8
	return nil
}

func (s ldaSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	return s.rcptErr
}

func (s ldaSession) Data(io.Reader) error { return errors.New("not LMTP") }

func (s ldaSession) LMTPData(r io.Reader, status gosmtp.StatusCollector) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = b
	status.SetStatus(s.to, s.dataErr)
	return nil
}

func (ldaSession) Reset()        {}
func (ldaSession) Logout() error { return nil }

// listen serves the socket and returns its path.
func (l *lda) listen(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lda")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := gosmtp.NewServer(l)
	srv.LMTP, srv.EnableSMTPUTF8, srv.MaxLineLength = true, true, 0
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		ln.Close() // Close does not know a listener that Serve has not seen yet
		<-done
	})
	return path
}

func (l *lda) direct(_ context.Context, _ *config.Config, o receive.Order) error {
	text, err := io.ReadAll(o.Content)
	if err != nil {
		return err
	}
	l.order, l.orderText = o, string(text)
	return l.orderErr
}

// deliver runs the command and returns its exit status and streams.
func (l *lda) deliver(stdin string, args ...string) (code int, stdout, stderr string) {
	d := delivery{direct: l.direct, timeout: time.Minute, loadConfig: func(path string) (*config.Config, error) {
		if path == "missing.toml" {
			return nil, fs.ErrNotExist
		}
		c := config.Default()
		c.Listeners = []config.Listener{{Type: config.LDA, Address: "unix:" + path}}
		return c, nil
	}}
	var out, errs bytes.Buffer
	code = d.main(args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

func TestDeliverThroughSocket(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, stdin string
		args        []string
		from, got   string
	}{
		{"LF becomes CRLF", "A: b\n\nc\n", []string{"-f", "s@r.test", "-d", "alice@example.org"}, "s@r.test", "A: b\r\n\r\nc\r\n"},
		{"CRLF stays", "A: b\r\n\r\nc\n", []string{"-fs@r.test", "-dalice@example.org"}, "s@r.test", "A: b\r\n\r\nc\r\n"},
		{"a first line From goes, >From stays", "From s Mon\n>From x\n\nFrom y\n", []string{"-d", "alice@example.org"}, "", ">From x\r\n\r\nFrom y\r\n"},
		{"dots are kept", "\n.\n..\n", []string{"-d", "alice@example.org"}, "", "\r\n.\r\n..\r\n"},
		{"NUL, 8-bit and long lines", "\n\x00\xff" + strings.Repeat("x", 5000) + "\n", []string{"-d", "alice@example.org"}, "", "\r\n\x00\xff" + strings.Repeat("x", 5000) + "\r\n"},
		{"the null sender as Postfix passes it", "\nx\n", []string{"-f", "MAILER-DAEMON", "-d", "alice@example.org"}, "", "\r\nx\r\n"},
		// The peer takes the quotes off again; without them it would refuse.
		{"an odd sender gets its quotes back", "\nx\n", []string{"-f", "Odd Sender@Remote.INVALID", "-d", "alice@example.org"}, "Odd Sender@remote.invalid", "\r\nx\r\n"},
		{"a sender that is no address", "\nx\n", []string{"-f", "a\r\nb@c", "-d", "alice@example.org"}, "", "\r\nx\r\n"},
		{"without -f the Return-Path counts", "Return-Path: <rp@r.test>\n\nx\n", []string{"-f", "<>", "-d", "alice@example.org"}, "rp@r.test", "Return-Path: <rp@r.test>\r\n\r\nx\r\n"},
		{"the options that change nothing", "\nx\n", []string{"-e", "-k", "-ek", "-o", "plugin/x=y", "-a", "o@x.test", "-r", "f@x.test", "-d", "alice@example.org"}, "", "\r\nx\r\n"},
		{"more than fits into memory", "\n" + strings.Repeat("0123456789abcde\n", 100_000), []string{"-d", "alice@example.org"}, "", "\r\n" + strings.Repeat("0123456789abcde\r\n", 100_000)},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			l := &lda{}
			code, out, errs := l.deliver(tt.stdin, append(tt.args, "-o", "socket="+l.listen(t))...)
			if code != exitOK || out+errs != "" {
				t.Fatalf("exit %d, %q, %q", code, out, errs)
			}
			if l.from != tt.from || l.to != "alice@example.org" || string(l.got) != tt.got {
				t.Errorf("from %q to %q: %.200q; want from %q: %.200q", l.from, l.to, l.got, tt.from, tt.got)
			}
			if l.order.Content != nil {
				t.Error("delivered directly too")
			}
		})
	}
}

// TestDeliverDirect: what the socket cannot take, and all when nobody listens.
func TestDeliverDirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, stdin string
		args        []string
		content     string
		listens     bool
	}{
		{rule: "nobody listens", stdin: "\nx\n", content: "\r\nx\r\n"},
		{rule: "a folder", stdin: "\nx\n", args: []string{"-m", "Lists/go"}, content: "\r\nx\r\n", listens: true},
		{rule: "nothing at all", stdin: "", content: "", listens: true},
		{rule: "a last line without its end", stdin: "\nx", content: "\r\nx", listens: true},
		{rule: "a bare CR", stdin: "\na\rb\n", content: "\r\na\rb\r\n", listens: true},
		{rule: "only a From line", stdin: "From x\n", content: "", listens: true},
		{rule: "a bare CR at the buffer's edge", stdin: strings.Repeat("x", 4095) + "\ry\n", content: strings.Repeat("x", 4095) + "\ry\r\n", listens: true},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			l := &lda{}
			path := filepath.Join(t.TempDir(), "none")
			if tt.listens {
				path = l.listen(t)
			}
			code, _, errs := l.deliver(tt.stdin, append(tt.args, "-f", "s@r.test", "-d", "Alice@example.org", "-c", path)...)
			if code != exitOK || l.orderText != tt.content || l.order.To != (mail.Address{Local: "Alice", Domain: "example.org"}) ||
				l.order.From.Address.String() != "s@r.test" {
				t.Errorf("exit %d, %q, order %+v %.200q", code, errs, l.order, l.orderText)
			}
			if len(tt.args) == 2 && l.order.Folder != tt.args[1] {
				t.Errorf("folder %q", l.order.Folder)
			}
			if l.got != nil {
				t.Error("delivered through the socket too")
			}
		})
	}
}

func TestDeliverExit(t *testing.T) {
	t.Parallel()
	status := func(code int, e gosmtp.EnhancedCode, text string) error {
		return &gosmtp.SMTPError{Code: code, EnhancedCode: e, Message: text}
	}
	for _, tt := range []struct {
		rule   string
		lda    *lda
		args   []string
		code   int
		stderr string
	}{
		{"unknown user", &lda{rcptErr: status(550, gosmtp.EnhancedCode{5, 1, 1}, "User unknown")}, nil, 67, "5.1.1 User unknown\n"},
		{"over quota bounces with its code", &lda{dataErr: status(552, gosmtp.EnhancedCode{5, 2, 2}, "Quota exceeded")}, nil, 77, "5.2.2 <alice@example.org> Quota exceeded\n"},
		{"temporary", &lda{dataErr: status(451, gosmtp.EnhancedCode{4, 3, 0}, "Try again")}, nil, 75, "4.3.0 <alice@example.org> Try again\n"},
		{"no enhanced code", &lda{dataErr: status(451, gosmtp.NoEnhancedCode, "Try again")}, nil, 75, "4.0.0 <alice@example.org> Try again\n"},
		{"no address", &lda{}, []string{"-d", "alice"}, 67, "5.1.1 User unknown\n"},
		{"direct: unclassified", &lda{orderErr: errors.New("5 disks are gone")}, []string{"-m", "x"}, 75, "gomaild deliver: 5 disks are gone\n"},
		{"direct: refused", &lda{orderErr: &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "full"}}, []string{"-m", "x"}, 77, "5.2.2 full\n"},
		{"no configuration", &lda{}, []string{"-o", "socket=/nonexistent/lda", "-c", "missing.toml"}, 75, "gomaild deliver: configuration: file does not exist\n"},
		{"no file", &lda{}, []string{"-p", "/nonexistent"}, 75, "gomaild deliver: read message: open /nonexistent: no such file or directory\n"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			args := []string{"-o", "socket=" + tt.lda.listen(t), "-d", "alice@example.org"}
			code, _, errs := tt.lda.deliver("\nx\n", append(args, tt.args...)...)
			if code != tt.code || errs != tt.stderr {
				t.Errorf("exit %d, %q; want %d, %q", code, errs, tt.code, tt.stderr)
			}
		})
	}
}

func TestDeliverUsage(t *testing.T) {
	t.Parallel()
	for rule, args := range map[string][]string{
		"no recipient":                    {"-f", "s@r.test"},
		"an option of old versions":       {"-n", "-d", "a@b.test"},
		"an extra word":                   {"-d", "a@b.test", "extra"},
		"an option without its value":     {"-d"},
		"a setting that is not KEY=VALUE": {"-o", "x", "-d", "a@b.test"},
		"a double hyphen":                 {"-d", "a@b.test", "--"},
	} {
		code, out, errs := (&lda{}).deliver("\n", args...)
		if code != exitUsage || !strings.HasPrefix(out, "Usage: ") || !strings.HasPrefix(errs, "gomaild deliver: ") {
			t.Errorf("%s: exit %d, %q, %q", rule, code, out, errs)
		}
	}
}

// TestDeliverPanic: the runtime's exit status 2 would make Postfix bounce.
func TestDeliverPanic(t *testing.T) {
	t.Parallel()
	d := delivery{
		direct:     func(context.Context, *config.Config, receive.Order) error { panic("a bug\nhere") },
		loadConfig: func(string) (*config.Config, error) { return config.Default(), nil },
		timeout:    time.Minute,
	}
	var out, errs bytes.Buffer
	code := d.main([]string{"-d", "a@b.test", "-m", "x"}, strings.NewReader("\nx\n"), &out, &errs)
	if code != exitTempFail || errs.String() != "gomaild deliver: panic: a bug here\n" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

// TestDeliverLarge: a message that is more than memory holds leaves no file, and
// does not need a directory that takes one.
func TestDeliverLarge(t *testing.T) {
	dir := t.TempDir()
	line := strings.Repeat("x", 70) + "\n"
	text := "\n" + strings.Repeat(line, 2*deliverMemory/len(line))
	for _, tmp := range []string{dir, filepath.Join(dir, "missing")} {
		t.Setenv("TMPDIR", tmp)
		l := &lda{}
		code, _, errs := l.deliver(text, "-d", "a@b.test", "-o", "socket="+l.listen(t))
		if code != exitOK || string(l.got) != strings.ReplaceAll(text, "\n", "\r\n") {
			t.Errorf("%s: exit %d, %q, %d octets", tmp, code, errs, len(l.got))
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// TestDeliverInputFails: half a message is no message.
func TestDeliverInputFails(t *testing.T) {
	t.Parallel()
	l := &lda{}
	d := delivery{direct: l.direct, timeout: time.Minute}
	var out, errs bytes.Buffer
	in := io.MultiReader(strings.NewReader("\nx\n"), iotest.ErrReader(errors.New("bad pipe")))
	if code := d.main([]string{"-d", "a@b.test", "-o", "socket=" + l.listen(t)}, in, &out, &errs); code != exitTempFail || l.got != nil {
		t.Errorf("exit %d, %q, delivered %q", code, errs.String(), l.got)
	}
}

// TestDeliverDaemonGoesAway: a daemon that stops in the middle may have the
// message or not; Postfix must come again.
func TestDeliverDaemonGoesAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lda")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = io.WriteString(c, "220 x\r\n")
			_, _ = c.Read(make([]byte, 100))
			c.Close()
		}
	}()
	l := &lda{}
	code, _, errs := l.deliver("\nx\n", "-d", "a@b.test", "-o", "socket="+path)
	if code != exitTempFail || l.order.Content != nil || regexp.MustCompile(`^\d`).MatchString(errs) {
		t.Errorf("exit %d, %q, direct %v", code, errs, l.order.Content != nil)
	}
}

// TestDeliverFromFile: -p reads a file instead of standard input.
func TestDeliverFromFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, []byte("\nfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &lda{}
	code, _, errs := l.deliver("\nstdin\n", "-p", path, "-d", "a@b.test", "-o", "socket="+l.listen(t))
	if code != exitOK || string(l.got) != "\r\nfile\r\n" {
		t.Errorf("exit %d, %q, %q", code, errs, l.got)
	}
}

func FuzzDeliverOptions(f *testing.F) {
	f.Add("-f\x00Odd Sender@x.test\x00-d\x00a@b.test")
	f.Add("-ek\x00-osocket=/x\x00-da@b")
	f.Fuzz(func(_ *testing.T, args string) {
		d := delivery{}
		if d.parse(strings.Split(args, "\x00")) == nil {
			_, _ = looseAddress(d.recipient)
		}
	})
}
