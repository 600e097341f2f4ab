package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/mail"
	"gomaild/smtp/client"
	"gomaild/smtp/client/clienttest"
)

const plain = "From: a@x.test\r\nSubject: s\r\n\r\n.dot\r\nbody\r\n"

var full = []string{"PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN"}

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func message(content string, to ...string) client.Message {
	m := client.Message{From: mail.ReversePath{Address: address("a@x.test")}, Content: strings.NewReader(content)}
	for _, t := range to {
		m.To = append(m.To, mail.Recipient{Address: address(t)})
	}
	return m
}

func connect(t *testing.T, s *clienttest.Sink) (*client.Conn, error) {
	t.Helper()
	c, err := client.New(t.Context(), s.Dial(), client.Config{HELO: "me.test", LMTP: s.LMTP})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func send(t *testing.T, s *clienttest.Sink, m client.Message) ([]client.Result, *client.Conn) {
	t.Helper()
	c, err := connect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return c.Send(t.Context(), m), c
}

func codes(results []client.Result) (list []string) {
	for _, r := range results {
		switch s, ok := errors.AsType[*mail.Status](r.Err); {
		case r.Err == nil:
			list = append(list, "ok")
		case ok:
			list = append(list, s.Enhanced)
		default:
			list = append(list, "lost")
		}
	}
	return list
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, ext := range [][]string{nil, full} {
		s := &clienttest.Sink{Extensions: ext, Replies: map[string]string{"RCPT TO:<NO@Y.TEST>": "550 5.1.1 No\r\n"}}
		results, c := send(t, s, message(plain, "b@y.test", "no@y.test"))
		if got := codes(results); !slices.Equal(got, []string{"ok", "5.1.1"}) || !c.Usable() {
			t.Errorf("%v: %v", ext, got)
		}
		results = c.Send(t.Context(), message(plain, "no@y.test"))
		if got := codes(results); !slices.Equal(got, []string{"5.1.1"}) || !c.Usable() {
			t.Errorf("%v: nobody accepted: %v", ext, got)
		}
		results = c.Send(t.Context(), message(plain, "c@y.test"))
		if got := codes(results); !slices.Equal(got, []string{"ok"}) {
			t.Errorf("%v: third message: %v", ext, got)
		}
		if m := s.Messages(); len(m) != 2 || m[0].Content != plain {
			t.Errorf("%v: %+v", ext, m)
		}
	}
}

// TestParameters holds that what the server offers is used, that what it does
// not offer is not said, and that nothing breaks out of its line.
func TestParameters(t *testing.T) {
	t.Parallel()
	m := message("S: \xc3\xa9\r\n\r\nx\r\n", "b@y.test")
	m.From = mail.ReversePath{Address: mail.Address{Local: "a> X=Y <b", Domain: "x.test"}, UTF8: true, Ret: mail.RetHeaders, EnvID: "1 +\r\n2"}
	m.To[0].Notify, m.To[0].ORcpt = mail.NotifySuccess|mail.NotifyFailure, "rfc822;é=@x.test"
	s := &clienttest.Sink{Extensions: full}
	if results, _ := send(t, s, m); results[0].Err != nil {
		t.Fatal(results[0].Err)
	}
	got := s.Messages()[0]
	wantMail := `MAIL FROM:<"a> X=Y <b"@x.test> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=1+20+2B+0D+0A2`
	wantRcpt := `RCPT TO:<b@y.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;+C3+A9+3D@x.test`
	if got.From != wantMail || got.To[0] != wantRcpt {
		t.Errorf("got  %s\n     %s\nwant %s\n     %s", got.From, got.To[0], wantMail, wantRcpt)
	}
	m = message(plain, "b@y.test")
	m.From.EnvID, m.To[0].Notify = "e", mail.NotifyNever
	s = &clienttest.Sink{}
	send(t, s, m)
	if got := s.Messages()[0]; got.From != "MAIL FROM:<a@x.test>" || got.To[0] != "RCPT TO:<b@y.test>" {
		t.Errorf("to a plain server: %+v", got)
	}
}

// TestInjection holds that an address made by hand, past mail.ParseAddress,
// cannot become a command.
func TestInjection(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"b@y.test>\r\nRSET", "b\r\nRSET", "b\x00"} {
		m := message(plain, "b@y.test")
		m.To[0].Address.Local = bad
		s := &clienttest.Sink{}
		results, c := send(t, s, m)
		if results[0].Err == nil || c.Usable() || slices.Contains(s.Commands(), "RSET") {
			t.Errorf("%q: %v, %v", bad, results, s.Commands())
		}
	}
}

func TestWhatServersCannotCarry(t *testing.T) {
	t.Parallel()
	utf8To := message(plain, "b@y.test", "é@y.test")
	header := message("S: \xc3\xa9\r\n\r\nx\r\n", "b@y.test")
	header.From.UTF8 = true
	requireTLS := message(plain, "b@y.test")
	requireTLS.RequireTLS = true
	for _, tt := range []struct {
		rule string
		ext  []string
		m    client.Message
		want []string
	}{
		{"8-bit body", nil, message("S: x\r\n\r\n\xe9\r\n", "b@y.test"), []string{"5.6.3"}},
		{"8-bit body after an empty header", nil, message("\r\n\xe9\r\n", "b@y.test"), []string{"5.6.3"}},
		{"8-bit with 8BITMIME", []string{"8BITMIME"}, message("S: x\r\n\r\n\xe9\r\n", "b@y.test"), []string{"ok"}},
		{"one address needs SMTPUTF8", []string{"8BITMIME"}, utf8To, []string{"ok", "5.6.7"}},
		{"the header needs SMTPUTF8", []string{"8BITMIME"}, header, []string{"5.6.7"}},
		{"too large", []string{"SIZE 10"}, message(plain, "b@y.test"), []string{"5.3.4"}},
		{"SIZE without a limit", []string{"SIZE"}, message(plain, "b@y.test"), []string{"ok"}},
		{"SIZE of garbage", []string{"SIZE x"}, message(plain, "b@y.test"), []string{"ok"}},
		{"REQUIRETLS", nil, requireTLS, []string{"5.7.30"}},
		{"a bare LF", nil, message("a\nb\r\n", "b@y.test"), []string{"5.6.0"}},
	} {
		s := &clienttest.Sink{Extensions: tt.ext}
		results, _ := send(t, s, tt.m)
		if got := codes(results); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.rule, got, tt.want)
		}
	}
}

// hostile is what servers do at each step; want is the outcome of two
// recipients.
var hostile = []struct {
	rule    string
	replies map[string]string
	want    []string
	unsure  bool
}{
	{"closes after MAIL", map[string]string{"MAIL": ""}, []string{"lost", "lost"}, false},
	{"closes after RCPT", map[string]string{"RCPT": ""}, []string{"lost", "lost"}, false},
	{"closes after DATA", map[string]string{"DATA": ""}, []string{"lost", "lost"}, false},
	{"closes before the reply to the dot", map[string]string{".": ""}, []string{"lost", "lost"}, true},
	{"421 to MAIL", map[string]string{"MAIL": "421 4.3.2 Bye\r\nCLOSE"}, []string{"4.3.2", "4.3.2"}, false},
	{"421 to DATA", map[string]string{"DATA": "421 4.3.2 Bye\r\nCLOSE"}, []string{"4.3.2", "4.3.2"}, false},
	{"421 to the dot", map[string]string{".": "421 4.3.2 Bye\r\nCLOSE"}, []string{"4.3.2", "4.3.2"}, true},
	{"a line of 10 MB", map[string]string{"MAIL": "250-" + strings.Repeat("x", 10<<20) + "\r\n"}, []string{"lost", "lost"}, false},
	{"a reply without end", map[string]string{"MAIL": strings.Repeat("250-x\r\n", 1<<20)}, []string{"lost", "lost"}, false},
	{"garbage", map[string]string{"MAIL": "\x00\xff garbage\r\n"}, []string{"lost", "lost"}, false},
	{"two codes in one reply", map[string]string{"MAIL": "250-a\r\n550 b\r\n"}, []string{"lost", "lost"}, false},
	{"354 to MAIL", map[string]string{"MAIL": "354 what\r\n"}, []string{"lost", "lost"}, false},
	{"250 to DATA", map[string]string{"DATA": "250 what\r\n"}, []string{"lost", "lost"}, false},
	{"354 to the dot", map[string]string{".": "354 more\r\n"}, []string{"lost", "lost"}, false},
	{"refuses MAIL", map[string]string{"MAIL": "550 5.7.1 No\r\n"}, []string{"5.7.1", "5.7.1"}, false},
	{"refuses DATA", map[string]string{"DATA": "451 4.3.0 No\r\n"}, []string{"4.3.0", "4.3.0"}, false},
	{"refuses content", map[string]string{".": "554 5.6.0 No\r\n"}, []string{"5.6.0", "5.6.0"}, false},
	{"too many recipients said as 552", map[string]string{"RCPT TO:<C@Y.TEST>": "552 Too many\r\n"}, []string{"ok", ""}, false},
}

func TestHostileServers(t *testing.T) {
	t.Parallel()
	for _, tt := range hostile {
		for _, ext := range [][]string{nil, {"PIPELINING"}} {
			s := &clienttest.Sink{Extensions: ext, Replies: tt.replies}
			results, _ := send(t, s, message(plain, "b@y.test", "c@y.test"))
			if got := codes(results); !slices.Equal(got, tt.want) || results[0].Unsure != tt.unsure {
				t.Errorf("%s, %v: %v, unsure %v; want %v, %v", tt.rule, ext, got, results[0].Unsure, tt.want, tt.unsure)
			}
			for _, r := range results {
				if st := mail.StatusOf(r.Err); st != nil && tt.want[0] == "lost" && !st.Temporary() {
					t.Errorf("%s: permanent %v", tt.rule, st)
				}
			}
		}
	}
}

func TestHostileGreetings(t *testing.T) {
	t.Parallel()
	for rule, replies := range map[string]map[string]string{
		"closed":          {"GREETING": ""},
		"554":             {"GREETING": "554 5.3.2 No\r\n"},
		"250":             {"GREETING": "250 What\r\n"},
		"10 MB":           {"GREETING": strings.Repeat("2", 10<<20)},
		"EHLO closes":     {"EHLO": ""},
		"EHLO and HELO":   {"EHLO": "550 no\r\n", "HELO": "550 no\r\n"},
		"EHLO of 100,000": {"EHLO": strings.Repeat("250-X\r\n", 100000)},
	} {
		if _, err := connect(t, &clienttest.Sink{Replies: replies}); err == nil {
			t.Errorf("%s: taken", rule)
		}
	}
	s := &clienttest.Sink{Extensions: full, Replies: map[string]string{"EHLO": "502 5.5.1 What\r\n"}}
	if c, err := connect(t, s); err != nil {
		t.Errorf("HELO after EHLO: %v", err)
	} else if _, ok := c.Extension("PIPELINING"); ok {
		t.Error("extensions of HELO")
	}
}

func TestLMTP(t *testing.T) {
	t.Parallel()
	s := &clienttest.Sink{LMTP: true, Extensions: full, Replies: map[string]string{". RCPT TO:<C@Y.TEST>": "452 4.2.2 Full\r\n"}}
	results, _ := send(t, s, message(plain, "b@y.test", "c@y.test"))
	if got := codes(results); !slices.Equal(got, []string{"ok", "4.2.2"}) {
		t.Errorf("%v", got)
	}
	s = &clienttest.Sink{LMTP: true, Replies: map[string]string{". RCPT TO:<B@Y.TEST>": "250 one\r\nCLOSE"}}
	results, _ = send(t, s, message(plain, "b@y.test", "c@y.test"))
	if got := codes(results); !slices.Equal(got, []string{"ok", "lost"}) || !results[1].Unsure {
		t.Errorf("a reply too few: %v", got)
	}
	s = &clienttest.Sink{LMTP: true, Replies: map[string]string{". RCPT TO:<B@Y.TEST>": "250 one\r\n250 two\r\n"}}
	results, c := send(t, s, message(plain, "b@y.test"))
	if results[0].Err != nil || c.Usable() {
		t.Errorf("a reply too many: %v, usable %v", results, c.Usable())
	}
}

// TestTimeouts holds that each step has the time of RFC 5321 section 4.5.3.2,
// also against a server that sends an octet now and then.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	ok := "220 slow.test\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"
	for _, tt := range []struct {
		rule string
		says string // before it is silent
		want time.Duration
	}{
		{"greeting", "", 5 * time.Minute},
		{"EHLO", "220 slow.test\r\n", 5 * time.Minute},
		{"MAIL", "220 slow.test\r\n250 ok\r\n", 5 * time.Minute},
		{"RCPT", "220 slow.test\r\n250 ok\r\n250 ok\r\n", 5 * time.Minute},
		{"DATA", "220 slow.test\r\n250 ok\r\n250 ok\r\n250 ok\r\n", 2 * time.Minute},
		{"end of data", ok, 10 * time.Minute},
	} {
		for _, drip := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				near, far := net.Pipe()
				defer far.Close()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				var dripping sync.WaitGroup
				dripping.Go(func() {
					sayLines(far, tt.says)
					for drip && ctx.Err() == nil {
						time.Sleep(30 * time.Second)
						if _, err := io.WriteString(far, "2"); err != nil {
							return
						}
					}
				})
				start := time.Now()
				c, err := client.New(ctx, near, client.Config{HELO: "me.test"})
				if err == nil {
					err = c.Send(ctx, message(plain, "b@y.test"))[0].Err
				}
				if got := time.Since(start); got != tt.want || err == nil {
					t.Errorf("%s, drip %v: ended after %v with %v, want %v", tt.rule, drip, got, err, tt.want)
				}
				cancel()
				_ = near.Close()
				dripping.Wait()
			})
		}
	}
}

// sayLines writes line by line, so that on a pipe none is read too early.
func sayLines(w io.Writer, script string) {
	for line := range strings.SplitAfterSeq(script, "\n") {
		if _, err := io.WriteString(w, line); err != nil {
			return
		}
	}
}

func TestContextEndsAStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := client.New(ctx, near, client.Config{HELO: "me.test"}); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAuth(t *testing.T) {
	t.Parallel()
	for ext, want := range map[string][]string{
		"AUTH PLAIN LOGIN": {"AUTH PLAIN AHUAcA=="},
		"AUTH LOGIN":       {"AUTH LOGIN", "dQ==", "cA=="},
	} {
		s := &clienttest.Sink{Extensions: []string{ext}, Replies: map[string]string{"AUTH LOGIN": "334 VXNlcm5hbWU6\r\n", "DQ==": "334 UGFzc3dvcmQ6\r\n", "CA==": "235 ok\r\n"}}
		c, err := connect(t, s)
		if err == nil {
			err = c.Auth(t.Context(), "u", "p")
		}
		if got := s.Commands()[1:]; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %q", ext, err, got)
		}
	}
	c, err := connect(t, &clienttest.Sink{})
	if err != nil || c.Auth(t.Context(), "u", "p") == nil {
		t.Errorf("no AUTH offered: %v", err)
	}
}

// FuzzServer holds that no server can make a client hang, panic or take
// responsibility for nothing: success needs a 354 and a 250.
func FuzzServer(f *testing.F) {
	f.Add("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n")
	f.Add("220 a\r\n250-b\r\n250 PIPELINING\r\n250 c\r\n250 d\r\n354 e\r\n554 f\r\n")
	for _, tt := range hostile {
		for _, r := range tt.replies {
			f.Add("220 a\r\n250 b\r\n" + r[:min(len(r), 100)])
		}
	}
	f.Fuzz(func(t *testing.T, script string) {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			sayLines(far, script)
			_ = far.Close()
		}()
		c, err := client.New(t.Context(), near, client.Config{HELO: "me.test"})
		if err != nil {
			return
		}
		defer c.Close()
		if r := c.Send(t.Context(), message(plain, "b@y.test")); r[0].Err == nil && !strings.Contains(script, "354") {
			t.Errorf("%q was taken for success", script)
		}
	})
}
