package milter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/mail"
	"gomaild/policy/dkim"
)

const text = "Received: by x\r\nFrom: a@r.test\r\nSubject: long\r\n\tone\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello\r\nworld\r\n"

func someMessage() Message {
	return Message{ID: "S1.1", From: mail.ReversePath{Address: mail.Address{Local: "a", Domain: "r.test"}}}
}

// begin opens a session and tells of a message.
func begin(ctx context.Context, c *Client) (*Session, error) {
	s, err := c.Open(ctx, Connection{Hostname: "mx.x.test", Listener: "mx", Client: netip.MustParseAddr("192.0.2.7"), Port: 4000})
	if err != nil {
		return nil, err
	}
	if err = s.Hello(ctx, Hello{Name: "r.test"}); err == nil {
		err = s.Begin(ctx, someMessage())
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// answer is what came of a message.
type answer struct {
	Verdict
	Refusal *mail.Status
}

// whole asks about a message to two recipients, from begin to end.
func whole(ctx context.Context, c *Client) (a answer, err error) {
	s, err := begin(ctx, c)
	if err == nil {
		defer s.Close()
		for _, to := range []string{"b", "c"} {
			if err == nil {
				err = s.Recipient(ctx, mail.Address{Local: to, Domain: "x.test"})
			}
		}
	}
	if err == nil {
		var v *Verdict
		v, err = s.Content(ctx, strings.NewReader(text))
		a.Verdict = *v
	}
	if status, ok := errors.AsType[*mail.Status](err); ok {
		return answer{Refusal: status}, nil
	}
	return a, err
}

// filter is a server that answers each command by its letter, and writes down
// what it hears.
type filter struct {
	steps   uint32
	answers map[byte][]packet
	heard   strings.Builder
	done    chan struct{}
}

func (f *filter) serve(l net.Listener) {
	defer close(f.done)
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		p, err := readPacket(in)
		if err != nil || p.code == cmdQuit {
			return
		}
		if p.code == cmdNegotiate {
			data := binary.BigEndian.AppendUint32(nil, 6)
			data = binary.BigEndian.AppendUint32(data, offeredActions)
			data = binary.BigEndian.AppendUint32(data, f.steps)
			if given, ok := f.answers[cmdNegotiate]; ok {
				data = given[0].data
			}
			_ = writePacket(conn, cmdNegotiate, data)
			continue
		}
		fmt.Fprintf(&f.heard, "%c %q\n", p.code, p.data)
		if p.code == cmdMacro || p.code == cmdAbort {
			continue
		}
		answers, ok := f.answers[p.code]
		if !ok {
			answers = []packet{{replyContinue, nil}}
		}
		for _, a := range answers {
			_ = writePacket(conn, a.code, a.data)
		}
	}
}

func ask(t *testing.T, f *filter) (answer, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.done = make(chan struct{})
	go f.serve(l)
	c := Client{Network: "tcp", Address: l.Addr().String(), Timeout: 10 * time.Second}
	v, err := whole(t.Context(), &c)
	<-f.done
	return v, err
}

// listen starts a filter and returns who asks it, and what it has heard when the
// session is over.
func listen(t *testing.T, f *filter) (c *Client, heard func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f.done = make(chan struct{})
	go f.serve(l)
	return &Client{Network: "tcp", Address: l.Addr().String(), Timeout: 10 * time.Second}, func() string {
		<-f.done
		var short strings.Builder
		for line := range strings.Lines(f.heard.String()) {
			if line[0] != cmdMacro {
				short.WriteByte(line[0])
			}
		}
		return short.String()
	}
}

// TestOneConnection: all messages of a session are told over one connection, a new
// HELO too, and what came to no end is aborted.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	c, heard := listen(t, &filter{answers: map[byte][]packet{cmdRcpt: {{replyAccept, nil}}}})
	s, err := begin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	whole := func() error {
		v, err := s.Content(t.Context(), strings.NewReader(text))
		if err == nil && v.IsChanged() {
			err = errors.New("changed")
		}
		return err
	}
	to := mail.Address{Local: "b", Domain: "x.test"}
	if err := errors.Join(
		whole(),                                                                    // to nobody, whole
		s.Begin(t.Context(), someMessage()), s.Recipient(t.Context(), to), whole(), // accepted at RCPT
		s.Begin(t.Context(), someMessage()),
		s.Hello(t.Context(), Hello{Name: "r.test", TLS: "TLSv1.3"}), // STARTTLS meanwhile
		s.Begin(t.Context(), someMessage()),
	); err != nil || !s.Alive() {
		t.Error(err)
	}
	s.Close()
	if got, want := heard(), "CHMTLLLLLNBE"+"MRA"+"MA"+"HMA"; got != want {
		t.Errorf("it heard %s, want %s", got, want)
	}
}

// TestSessionRefused: who is refused at CONNECT or HELO is so for the whole session,
// and who is let pass there is asked about no more.
func TestSessionRefused(t *testing.T) {
	t.Parallel()
	c, heard := listen(t, &filter{answers: map[byte][]packet{cmdConnect: {{replyTempFail, nil}}}})
	_, err := c.Open(t.Context(), Connection{})
	if status, ok := errors.AsType[*mail.Status](err); !ok || status.Code != 451 {
		t.Error(err)
	}
	if got := heard(); got != "C" {
		t.Errorf("it heard %s", got)
	}

	c, heard = listen(t, &filter{answers: map[byte][]packet{cmdHelo: {{replyCode, []byte("554 5.7.0 not you\x00")}}}})
	s, err := c.Open(t.Context(), Connection{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Hello(t.Context(), Hello{Name: "a"}), s.Hello(t.Context(), Hello{Name: "b"}), s.Begin(t.Context(), someMessage())} {
		if status, ok := errors.AsType[*mail.Status](err); !ok || status.Code != 554 || status.Text != "not you" {
			t.Error(err)
		}
	}
	s.Close()
	if got := heard(); got != "CH" {
		t.Errorf("it heard %s", got)
	}

	c, heard = listen(t, &filter{answers: map[byte][]packet{cmdConnect: {{replyAccept, nil}}}})
	if s, err = begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Content(t.Context(), strings.NewReader(text)); err != nil {
		t.Error(err)
	}
	s.Close()
	if got := heard(); got != "C" {
		t.Errorf("it heard %s", got)
	}
}

// TestFilterGone: a filter that went away is no answer, now and later.
func TestFilterGone(t *testing.T) {
	t.Parallel()
	c, heard := listen(t, &filter{answers: map[byte][]packet{cmdHelo: {{replyConnFail, nil}}}})
	s, err := c.Open(t.Context(), Connection{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		err := s.Hello(t.Context(), Hello{Name: "a"})
		if _, answered := errors.AsType[*mail.Status](err); err == nil || answered || s.Alive() {
			t.Errorf("%v, %v", err, s.Alive())
		}
	}
	if err := s.Begin(t.Context(), someMessage()); err == nil {
		t.Error("a message began")
	}
	heard()
}

// TestRefused: a filter that wants to hear of recipients that were refused hears why
// (SMFIP_RCPT_REJ), whatever it answers; others do not.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, steps := range []uint32{wantsRefused, 0} {
		f := &filter{steps: steps | noConnect | noHelo, answers: map[byte][]packet{cmdRcpt: {{replyReject, nil}}}, done: make(chan struct{})}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go f.serve(l)
		c := Client{Network: "tcp", Address: l.Addr().String(), Timeout: 10 * time.Second}
		s, err := begin(t.Context(), &c)
		if err != nil {
			t.Fatal(err)
		}
		to := mail.Address{Local: "no", Domain: "x.test"}
		if err := s.Refused(t.Context(), to, &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "User unknown"}); err != nil {
			t.Error(err)
		}
		s.Close()
		<-f.done
		l.Close()
		_, heard, _ := strings.Cut(f.heard.String(), "M \"<a@r.test>\\x00\"\n")
		want := "A \"\"\n"
		if steps != 0 {
			want = "D \"Ri\\x00S1.1\\x00{rcpt_mailer}\\x00error\\x00{rcpt_host}\\x005.1.1\\x00{rcpt_addr}\\x00User unknown\\x00\"\nR \"<no@x.test>\\x00\"\n" + want
		}
		if heard != want {
			t.Errorf("it heard\n%swant\n%s", heard, want)
		}
	}
}

// TestConversation holds what a filter hears, in order.
func TestConversation(t *testing.T) {
	t.Parallel()
	f := &filter{}
	if v, err := ask(t, f); err != nil || v.IsChanged() || v.Refusal != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	const want = `D "Cj\x00mx.x.test\x00{daemon_name}\x00mx\x00v\x00gomaild\x00_\x00unknown [192.0.2.7]\x00{client_addr}\x00192.0.2.7\x00{client_name}\x00unknown\x00{client_port}\x004000\x00"
C "[192.0.2.7]\x004\x0f\xa0192.0.2.7\x00"
H "r.test\x00"
D "Mi\x00S1.1\x00{mail_addr}\x00a@r.test\x00{mail_host}\x00r.test\x00"
M "<a@r.test>\x00"
D "Ri\x00S1.1\x00{rcpt_addr}\x00b@x.test\x00{rcpt_host}\x00x.test\x00"
R "<b@x.test>\x00"
D "Ri\x00S1.1\x00{rcpt_addr}\x00c@x.test\x00{rcpt_host}\x00x.test\x00"
R "<c@x.test>\x00"
D "Ti\x00S1.1\x00"
T ""
L "Received\x00by x\x00"
L "From\x00a@r.test\x00"
L "Subject\x00long\n\tone\x00"
L "X-A\x001\x00"
L "X-A\x002\x00"
D "Ni\x00S1.1\x00"
N ""
B "hello\r\nworld\r\n"
D "Ei\x00S1.1\x00"
E ""
`
	if got := f.heard.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	f = &filter{steps: noConnect | noHelo | noRcpt | noBody | silentMail | noData | silentHeader | silentEndHdr | leadingSpace, answers: map[byte][]packet{
		cmdMail: {}, cmdHeader: {}, cmdEndHeader: {},
	}}
	if _, err := ask(t, f); err != nil {
		t.Fatal(err)
	}
	if got := f.heard.String(); strings.Contains(got, "C \"") || strings.Contains(got, "B \"") || !strings.Contains(got, `L "From\x00 a@r.test\x00"`) {
		t.Errorf("%s", got)
	}
}

// TestReplies holds what each reply comes to.
func TestReplies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		at    byte
		reply packet
		want  string
	}{
		{"accept", cmdConnect, packet{replyAccept, nil}, ""},
		{"reject", cmdMail, packet{replyReject, nil}, "550 5.7.1 Command rejected"},
		{"tempfail", cmdRcpt, packet{replyTempFail, nil}, "451 4.7.1 Service unavailable - try again later"},
		{"its own reply", cmdEnd, packet{replyCode, []byte("554 5.7.9 Virus\x07 found\x00")}, "554 5.7.9 Virus? found"},
		{"two lines", cmdEnd, packet{replyCode, []byte("451-4.7.0 one\r\n451 4.7.0 two\x00")}, "protocol"},
		{"without enhanced code", cmdEnd, packet{replyCode, []byte("450 later\x00")}, "450 4.7.1 later"},
		{"discard", cmdBody, packet{replyDiscard, nil}, "discard"},
		{"quarantine", cmdEnd, packet{askQuarantine, []byte("spam\x00")}, "quarantine"},
		{"a reply of success", cmdEnd, packet{replyCode, []byte("250 ok\x00")}, "protocol"},
		{"unknown", cmdHelo, packet{'Z', nil}, "protocol"},
		{"a recipient that is none", cmdEnd, packet{'+', []byte("<x>\x00")}, "protocol"},
		{"to be shut down", cmdMail, packet{replyShutdown, nil}, "421 4.7.0 Service unavailable"},
		{"it cannot", cmdConnect, packet{replyConnFail, nil}, "protocol"},
		{"a header without a name", cmdEnd, packet{askAddHeader, []byte("\x00x\x00")}, "protocol"},
		{"a header with a colon", cmdEnd, packet{askAddHeader, []byte("A: b\r\nC\x00x\x00")}, "protocol"},
		{"a short change", cmdEnd, packet{askChangeHeader, []byte{0, 0}}, "protocol"},
		{"wants what there is not", cmdNegotiate, packet{0, []byte{0, 0, 0, 6, 0, 0, 2, 0, 0, 0, 0, 0}}, "protocol"},
		{"another version", cmdNegotiate, packet{0, []byte{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}}, "protocol"},
		{"a short offer", cmdNegotiate, packet{0, []byte{0, 0, 0, 6}}, "protocol"},
	} {
		f := &filter{answers: map[byte][]packet{tt.at: {tt.reply}}}
		if tt.want == "quarantine" {
			f.answers[tt.at] = append([]packet{{replyProgress, nil}}, tt.reply, packet{replyContinue, nil})
		}
		v, err := ask(t, f)
		got := ""
		switch {
		case errors.Is(err, errProtocol):
			got = "protocol"
		case err != nil:
			got = err.Error()
		case v.Refusal != nil:
			got = v.Refusal.Error()
		case v.Discard:
			got = "discard"
		case v.Quarantine:
			got = "quarantine"
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func numbered(n uint32, list ...string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), words(list...)...)
}

// TestChanges holds what each wish makes of a message, and that no value ends
// the header.
func TestChanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule        string
		ask         []packet
		old, wanted string
	}{
		{"add", []packet{{askAddHeader, words("X-New", "v")}}, "X-A: 2\r\n", "X-A: 2\r\nX-New: v\r\n"},
		{"insert at the top", []packet{{askInsertHeader, numbered(0, "X-New", "v")}}, "Received: by", "X-New: v\r\nReceived: by"},
		{"insert second", []packet{{askInsertHeader, numbered(1, "X-New", "v")}}, "From: a", "X-New: v\r\nFrom: a"},
		{"insert too far", []packet{{askInsertHeader, numbered(1<<31, "X-New", "v")}}, "X-A: 2\r\n", "X-A: 2\r\nX-New: v\r\n"},
		{"change the second", []packet{{askChangeHeader, numbered(2, "x-a", "changed")}}, "X-A: 2", "X-A: changed"},
		{"change none", []packet{{askChangeHeader, numbered(3, "X-A", "3")}}, "X-A: 2\r\n", "X-A: 2\r\nX-A: 3\r\n"},
		{"take away", []packet{{askChangeHeader, numbered(1, "X-A", "")}}, "X-A: 1\r\n", ""},
		{"take none away", []packet{{askChangeHeader, numbered(1, "X-B", "")}}, "X-A: 1\r\n", "X-A: 1\r\n"},
		{"folded", []packet{{askAddHeader, words("X-New", "a\n\tb\r\n c")}}, "X-A: 2\r\n", "X-A: 2\r\nX-New: a\r\n\tb\r\n c\r\n"},
		{"a value that ends the header", []packet{{askAddHeader, words("X-New", "a\n\nFrom: b\r\n\r\nx\ry")}}, "X-A: 2\r\n", "X-A: 2\r\nX-New: a\r\n\tFrom: b\r\n\tx\r\n\ty\r\n"},
		{"a body in two parts", []packet{{askReplaceBody, []byte("new\r\n")}, {askReplaceBody, []byte("body\r\n")}}, "hello\r\nworld\r\n", "new\r\nbody\r\n"},
		{"an empty body", []packet{{askReplaceBody, nil}}, "hello\r\nworld\r\n", ""},
	} {
		f := &filter{answers: map[byte][]packet{cmdEnd: append(tt.ask, packet{replyContinue, nil})}}
		v, err := ask(t, f)
		if err != nil || !v.IsChanged() {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if got, want := changed(t, v.Verdict), strings.Replace(text, tt.old, tt.wanted, 1); got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", tt.rule, got, want)
		}
	}
}

func changed(t *testing.T, v Verdict) string {
	t.Helper()
	r, err := v.Content(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestRedirect holds what a filter may do to the envelope, and which macros it
// gets when it names them.
func TestRedirect(t *testing.T) {
	t.Parallel()
	const wantsMacros = "\x00\x00\x00\x06\x00\x00\x01\xcc\x00\x00\x00\x00" + "\x00\x00\x00\x03j, {rcpt_addr}\x00" + "\x00\x00\x00\x04\x00"
	f := &filter{answers: map[byte][]packet{
		cmdNegotiate: {{0, []byte(wantsMacros)}},
		cmdEnd: {
			{askAddRcpt, []byte("<new@x.test>\x00")}, {askAddRcptPar, []byte("two@x.test\x00NOTIFY=NEVER\x00")}, {askAddRcpt, []byte("<gone@x.test>\x00")},
			{askRemoveRcpt, []byte("<B@x.test>\x00")}, {askRemoveRcpt, []byte("<gone@x.test>\x00")},
			{askChangeFrom, []byte("<other@r.test>\x00SIZE=1\x00")}, {replyContinue, nil},
		},
	}}
	v, err := ask(t, f)
	if got := fmt.Sprint(v.Added, v.Removed, v.From); err != nil || got != "[new@x.test two@x.test] [B@x.test gone@x.test] other@r.test" {
		t.Errorf("%s, %v", got, err)
	}
	if got := f.heard.String(); !strings.Contains(got, `D "R{rcpt_addr}\x00b@x.test\x00j\x00mx.x.test\x00"`) || strings.Contains(got, `D "T`) {
		t.Errorf("heard\n%s", got)
	}
	f = &filter{answers: map[byte][]packet{cmdEnd: {{askChangeFrom, []byte("<>\x00")}, {replyContinue, nil}}}}
	if v, err = ask(t, f); err != nil || v.From == nil || !v.From.IsZero() {
		t.Errorf("%+v, %v", v, err)
	}
	many := slices.Repeat([]packet{{askAddRcpt, []byte("a@x.test\x00")}}, maxRedirects+1)
	if _, err = ask(t, &filter{answers: map[byte][]packet{cmdEnd: many}}); !errors.Is(err, errProtocol) {
		t.Errorf("recipients without end: %v", err)
	}
}

// TestHang holds that a filter that says nothing costs the timeout.
func TestHang(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := Client{Network: "tcp", Address: l.Addr().String(), Timeout: 50 * time.Millisecond}
	if _, err := whole(t.Context(), &c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	c = Client{Network: "unix", Address: t.TempDir() + "/none"}
	if _, err := whole(t.Context(), &c); err == nil {
		t.Error("asked nobody")
	}
}

// zone answers with one key.
type zone string

func (z zone) LookupTXT(context.Context, string) ([]string, error) { return []string{string(z)}, nil }

// TestOpenDKIM: a real filter signs a message, and our verifier says that it is
// right.
func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	program := peertest.Need(t, "opendkim", "opendkim")
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	conf := "Domain r.test\nSelector sel\nKeyFile " + dir + "/key\nSocket local:" + dir + "/sock\nInternalHosts " + dir + "/hosts\nCanonicalization relaxed/relaxed\nMode sv\nRequireSafeKeys no\n"
	for name, text := range map[string]string{"key": string(private), "conf": conf, "hosts": "192.0.2.0/24\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-f", "-x", dir+"/conf")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	c := Client{Network: "unix", Address: dir + "/sock"}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		v, err := whole(t.Context(), &c)
		if err != nil {
			<-tick.C
			if _, statErr := os.Stat(dir + "/sock"); statErr == nil && !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "refused") {
				t.Fatalf("%v\n%s", err, &said)
			}
			continue
		}
		signed := changed(t, v.Verdict)
		record, err := dkim.Record(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		verifier := dkim.Verifier{Resolver: zone(record)}
		found, err := verifier.Verify(t.Context(), strings.NewReader(signed))
		if err != nil || len(found) != 1 || found[0].Result != dkim.Pass || found[0].Domain != "r.test" {
			t.Errorf("%+v, %v\n%s", found, err, signed)
		}
		return
	}
	t.Fatalf("opendkim does not answer\n%s", &said)
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01c"))
	f.Add(append([]byte("\x00\x00\x00\x0ah"), words("X-A", "bcd")...))
	f.Add([]byte("\xff\xff\xff\xffx"))
	f.Fuzz(func(t *testing.T, replies []byte) {
		s := &Session{in: bufio.NewReader(bytes.NewReader(replies))}
		v := &s.v
		if _, err := s.answer(); err != nil && !errors.Is(err, errDone) {
			return
		}
		r, err := v.Content(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !v.hasBody && !strings.HasSuffix(string(got), "\r\n\r\nhello\r\nworld\r\n") {
			t.Errorf("the body moved: %q", got)
		}
	})
}
