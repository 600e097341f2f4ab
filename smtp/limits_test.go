package smtp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestLineLimits holds the longest lines, and that what follows one that is too
// long is read as it should be.
func TestLineLimits(t *testing.T) {
	t.Parallel()
	pad := func(s string, n int) string { return s + strings.Repeat("x", n-len(s)-2) + "\r\n" }
	for _, tt := range []struct{ rule, line, want string }{
		{"a command of 2048 octets", pad("NOOP ", 2048), "250"},
		{"a command of 2049 octets", pad("NOOP ", 2049), "500 5.5.2 Line too long"},
		{"a command of 1 MB", pad("NOOP ", 1<<20), "500 5.5.2 Line too long"},
		{"a long line that holds CRs", pad("NOOP "+strings.Repeat("\r", 5000), 10000), "500 5.5.2 Line too long"},
		{"AUTH of 12288 octets", pad("AUTH PLAIN ", 12288), "501 5.5.2"},
		{"AUTH of 12289 octets", pad("AUTH PLAIN ", 12289), "500 5.5.2 Line too long"},
		{"a response of 12288 octets", "AUTH PLAIN\r\n" + pad("", 12288), "501 5.5.2"},
		{"a response of 12289 octets", "AUTH PLAIN\r\n" + pad("", 12289), "500 5.5.6"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, Config{Receiver: &fakeReceiver{}, Auth: fakeAuth{}, AllowPlaintextAuth: true})
				c.say("HELO x", "250")
				if first, rest, ok := strings.Cut(tt.line, "\r\n"); ok && rest != "" {
					c.say(first, "334")
					tt.line = rest
				}
				c.send(tt.line)
				c.expect(tt.want)
				c.say("NOOP", "250")
			})
		})
	}
}

// TestArgumentLimits holds how long the parts of a command may be.
func TestArgumentLimits(t *testing.T) {
	t.Parallel()
	rcpt := func(arg string) error { _, err := parseRcpt(arg); return err }
	from := func(arg string) error { _, err := parseMail(arg); return err }
	helo := func(arg string) error { _, err := parseHelo(arg); return err }
	for _, tt := range []struct {
		rule   string
		parse  func(string) error
		prefix string
		most   int // octets after the prefix
	}{
		{"HELO", helo, "", maxHelo},
		{"ENVID", from, "FROM:<> ENVID=", maxEnvID},
		{"ORCPT", rcpt, "TO:<a@b.test> ORCPT=rfc822;", maxORcpt - len("rfc822;")},
		{"SIZE", from, "FROM:<> SIZE=", 20},
	} {
		digits := strings.Repeat("1", tt.most)
		if err := tt.parse(tt.prefix + digits); err != nil {
			t.Errorf("%s of %d octets: %v", tt.rule, tt.most, err)
		}
		if tt.parse(tt.prefix+digits+"1") == nil {
			t.Errorf("%s of %d octets is taken", tt.rule, tt.most+1)
		}
	}
}

func TestRecipientLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &fakeReceiver{}
		// RFC 5321 section 4.5.3.1.8: a lower limit is not honoured.
		c := dial(t, Config{Receiver: r, Limits: Limits{MaxRecipients: 5}})
		c.say("HELO x", "250")
		c.say("MAIL FROM:<>", "250")
		for i := range 100 {
			c.say(fmt.Sprintf("RCPT TO:<u%d@example.org>", i), "250")
		}
		c.say("RCPT TO:<alice@example.org>", "452 4.5.3")
		c.say("DATA", "354")
		c.say(".", "250")
		if m := r.all(); len(m) != 1 || len(m[0].to) != 100 {
			t.Error("the message for the first hundred did not arrive")
		}
	})
}

// TestTransactionsOfMTA holds that the MTA before us, which keeps its LMTP
// connection open from message to message, is not sent away in the middle of
// its work unless that is asked for.
func TestTransactionsOfMTA(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		cfg  Config
		want int // messages until 421; 0 for no end
	}{
		{"SMTP", Config{}, DefaultMaxTransactions},
		{"SMTP, no limit", Config{Limits: Limits{MaxTransactions: -1}}, 0},
		{"LMTP", Config{LMTP: true}, 0},
		{"LMTP, limited", Config{LMTP: true, Limits: Limits{MaxTransactions: 2}}, 2},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Receiver = &fakeReceiver{}
				c := dial(t, tt.cfg)
				hello := "HELO x"
				if tt.cfg.LMTP {
					hello = "LHLO x"
				}
				c.say(hello, "250")
				for i := range DefaultMaxTransactions + 1 {
					if tt.want > 0 && i == tt.want {
						c.say("MAIL FROM:<>", "421 4.7.0")
						c.expectEnd()
						return
					}
					c.say("MAIL FROM:<>", "250")
					c.say("RCPT TO:<alice@example.org>", "250")
					c.say("DATA", "354")
					c.say(".", "250")
				}
			})
		})
	}
}

// TestLongLineOfContent holds that content streams whatever its lines are like.
func TestLongLineOfContent(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	var longest int
	r := &fakeReceiver{commit: func(_ context.Context, content io.Reader) error {
		p := make([]byte, 1<<20)
		for {
			n, err := content.Read(p)
			longest = max(longest, n)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: r})
		c.toData()
		c.send(strings.Repeat("x", size))
		c.say("\r\n.", "250")
		if longest > bigBuffer {
			t.Errorf("%d octets were held, want at most %d", longest, bigBuffer)
		}
	})
}

// TestIdleBuffer holds that a connection without content in flight gives its
// big buffer back.
func TestIdleBuffer(t *testing.T) {
	t.Parallel()
	conn := &script{segments: [][]byte{bytes.Repeat([]byte("x"), 10), []byte("NOOP\r\n")}}
	srv := New(Config{})
	w := newWire(conn, &srv.pool, srv.cfg.Limits)
	w.beginContent()
	if _, err := w.Peek(10); err != nil || w.big == nil {
		t.Fatalf("content is not read into a big buffer: %v", err)
	}
	w.Discard(10)
	w.endContent()
	if line, err := w.readLine(lineLimit); string(line) != "NOOP" || err != nil || w.big != nil {
		t.Errorf("readLine = %q, %v; big buffer kept: %v", line, err, w.big != nil)
	}
}
