package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// wantStatus fails unless err is what a parser may return.
func wantStatus(t *testing.T, in string, err error) {
	t.Helper()
	if s, ok := errors.AsType[*mail.Status](err); !ok || s.Code < 500 || s.Code > 599 {
		t.Fatalf("%q is refused with %v", in, err)
	}
}

var mailSeeds = []string{
	"FROM:<>", "from: <a@b.test> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb AUTH=<>",
	`FROM:<"a@b> NOTIFY=NEVER <c"@d.test>`, `FROM:<"\">"@d.test>`, "FROM:<@a.test,@[IPv6:::1]:b@c.test>",
	"FROM:<a@b.test>SIZE", "FROM:<ü@ü.test> SMTPUTF8", "FROM:a@b.test SIZE=1", `FROM:"a > b"@c.test`, "FROM:<.a..b.@c.test>",
	"FROM:postmaster", "FROM:<a@b.test> SIZE=99999999999999999999",
}

// FuzzParseMail holds that what is accepted can be written down again as the
// same sender, and that nothing in it can break a line.
func FuzzParseMail(f *testing.F) {
	for _, s := range mailSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseMail(in)
		if err != nil {
			wantStatus(t, in, err)
			return
		}
		if strings.ContainsAny(m.path.EnvID+m.path.String(), "\r\n\x00") || m.path.Size < 0 {
			t.Fatalf("%q is read as %+v", in, m)
		}
		again, err := parseMail("FROM:" + m.path.String() + " SMTPUTF8")
		if err != nil || again.path.Address != m.path.Address {
			t.Fatalf("%q is read as %v, then as %v, %v", in, m.path, again.path, err)
		}
	})
}

// FuzzParseRcpt holds the same for recipients.
func FuzzParseRcpt(f *testing.F) {
	for _, s := range mailSeeds {
		f.Add("TO" + strings.TrimPrefix(strings.TrimPrefix(s, "FROM"), "from"))
	}
	f.Add("TO:<postmaster>")
	f.Add("to:<a@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2B@b.test")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := parseRcpt(in)
		if err != nil {
			wantStatus(t, in, err)
			return
		}
		if strings.ContainsAny(r.to.ORcpt+r.to.Address.String(), "\r\n\x00") || r.to.Address.IsZero() {
			t.Fatalf("%q is read as %+v", in, r)
		}
		if n := r.to.Notify; n&mail.NotifyNever != 0 && n != mail.NotifyNever {
			t.Fatalf("%q is read as %v", in, n)
		}
		again, err := parseRcpt("TO:<" + r.to.Address.String() + ">")
		if err != nil || again.to.Address != r.to.Address {
			t.Fatalf("%q is read as %v, then as %v, %v", in, r.to, again.to, err)
		}
	})
}

func FuzzDecodeXtext(f *testing.F) {
	for _, tt := range xtextTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := decodeXtext(in)
		if err != nil {
			return
		}
		if !utf8.ValidString(got) || len(got) > len(in) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q is decoded as %q", in, got)
		}
	})
}

var xtextTests = []struct {
	rule, in, want string
	ok             bool
}{
	{"printable octets", "alice@example.org", "alice@example.org", true},
	{"a blank and a plus", "a+20b+2Bc", "a b+c", true},
	{"lower-case digits", "+2b", "+", true},
	{"UTF-8", "+C3+A9", "é", true},
	{"nothing", "", "", true},
	{"half a code", "a+2", "", false},
	{"no code", "a+", "", false},
	{"no digits", "+zz", "", false},
	{"a line end", "a+0D+0A", "", false},
	{"NUL", "+00", "", false},
	{"an equals sign", "a=b", "", false},
	{"a blank", "a b", "", false},
	{"half a character", "+C3", "", false},
}

func TestDecodeXtext(t *testing.T) {
	t.Parallel()
	for _, tt := range xtextTests {
		got, err := decodeXtext(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: decodeXtext(%q) = %q, %v", tt.rule, tt.in, got, err)
		}
	}
}

// FuzzCommand throws single lines at a session: each gets one reply, and the
// NOOP behind it another, unless the session was ended.
func FuzzCommand(f *testing.F) {
	for _, s := range mailSeeds {
		f.Add("MAIL " + s)
	}
	for _, s := range []string{"EHLO x", "AUTH PLAIN =", "BDAT 5 LAST", "VRFY a", "NOOP", "RSET", "HELP", "", "\x00", "A\nB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &fakeReceiver{}
		conn := &script{segments: [][]byte{[]byte("HELO x\r\n"), []byte(line + "\r\n"), []byte("NOOP\r\n")}}
		New(Config{Hostname: "mx.example.org", Receiver: r, Limits: Limits{ErrorDelay: 1}}).Serve(t.Context(), nil, conn)
		wantReplies(t, conn.out.Bytes())
		if r.open() != 0 {
			t.Fatalf("%q leaves a transaction open", line)
		}
	})
}

// wantReplies reads all that a server said and returns the codes.
func wantReplies(t *testing.T, out []byte) []int {
	t.Helper()
	var codes []int
	br := bufio.NewReader(bytes.NewReader(out))
	for {
		r, err := reply.Read(br)
		if err == io.EOF {
			return codes
		}
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		codes = append(codes, r.Code)
	}
}

// FuzzContent sends any octets as the content of a message, stuffed as RFC 5321
// wants it and in two pieces. There must be one reply for the content, one for
// the NOOP behind it and nothing else: no octet of content is ever a command.
func FuzzContent(f *testing.F) {
	for _, s := range []string{
		"", "a\r\n", ".\r\n", "a\n.\nRSET\r\n", "a\r\n.\nMAIL FROM:<x@x.test>\r\n", "a\r.\rQUIT\r\n", "a\r\r\n", "\r\n.\r\r\nNOOP",
	} {
		f.Add(s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, body string, cut uint16) {
		stuffed := strings.ReplaceAll("\r\n"+body, "\r\n.", "\r\n..")[2:] + "\r\n.\r\n"
		at := int(cut) % len(stuffed)
		r := &fakeReceiver{}
		conn := &script{segments: [][]byte{
			[]byte("HELO x\r\n"), []byte("MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"),
			[]byte(stuffed[:at]), []byte(stuffed[at:] + "NOOP\r\n"),
		}}
		if at == 0 {
			conn.segments = append(conn.segments[:2], conn.segments[3:]...)
		}
		New(Config{Receiver: r, Limits: Limits{MaxMessageSize: 1 << 16}}).Serve(t.Context(), nil, conn)
		codes := wantReplies(t, conn.out.Bytes())
		if len(codes) != 7 || codes[4] != 354 || codes[6] != 250 || r.begun != 1 || r.open() != 0 {
			t.Fatalf("body %q: replies %v, %d transactions", body, codes, r.begun)
		}
		all := r.all()
		if taken := codes[5] == 250; taken != (len(all) == 1) {
			t.Fatalf("body %q: reply %d and %d messages", body, codes[5], len(all))
		}
		if len(all) == 1 && all[0].content != body+"\r\n" {
			t.Fatalf("body %q is stored as %q", body, all[0].content)
		}
		if got := strings.ReplaceAll(body, "\r\n", ""); codes[5] == 250 && strings.ContainsAny(got, "\r\n") {
			t.Fatalf("body %q was taken", body)
		}
	})
}

// FuzzSession sends anything at all. What is stored keeps the rules, all that
// is said is replies, and nothing is left open.
func FuzzSession(f *testing.F) {
	f.Add([]byte("EHLO x\r\n|MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n|a\r\n.\r\nQUIT\r\n"), false)
	f.Add([]byte("LHLO x\r\n|MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nBDAT 3\r\nabc|BDAT 2 LAST\r\n\r\nRSET\r\n"), true)
	f.Add([]byte("EHLO x\r\n|AUTH LOGIN\r\n|YWxpY2U=\r\n|*\r\nBDAT 5\r\nQUIT\r\nNOOP\nRSET\r\n"), false)
	f.Fuzz(func(t *testing.T, in []byte, lmtp bool) {
		r := &fakeReceiver{}
		conn := &script{}
		for s := range bytes.SplitSeq(in, []byte("|")) { // a client that waits here and there
			if len(s) > 0 {
				conn.segments = append(conn.segments, s)
			}
		}
		const most = 1 << 10
		New(Config{
			Hostname: "mx.example.org", Receiver: r, LMTP: lmtp, Auth: fakeAuth{}, AllowPlaintextAuth: true,
			Limits: Limits{MaxMessageSize: most, ErrorDelay: 1},
		}).Serve(t.Context(), nil, conn)
		wantReplies(t, bytes.ReplaceAll(conn.out.Bytes(), []byte("334 \r\n"), []byte("334 x\r\n")))
		if r.open() != 0 {
			t.Fatalf("%d transactions are left open", r.open())
		}
		for _, m := range r.all() {
			bare := strings.ReplaceAll(m.content, "\r\n", "")
			if strings.ContainsAny(bare, "\r\n") || len(m.content) > most+2 || len(m.to) == 0 {
				t.Fatalf("stored %v", m)
			}
		}
	})
}

func FuzzParseXClient(f *testing.F) {
	for _, s := range []string{
		"NAME=a.test ADDR=192.0.2.7 PORT=25", "ADDR=IPV6:2001:db8::1 LOGIN=a@b.test", "HELO=[UNAVAILABLE]",
		"DESTADDR=192.0.2.1 DESTPORT=587", "NAME=+0D+0A", "ADDR=1", "LOGIN=", "PROTO=ESMTP PROTO=SMTP",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := parseXClient(in)
		if err != nil {
			wantStatus(t, in, err)
			return
		}
		for name, value := range a {
			if strings.ContainsAny(value, "\r\n\x00") || value != "" && name == "ADDR" && !parseXAddr(value).IsValid() {
				t.Fatalf("%q is read as %v", in, a)
			}
		}
	})
}
