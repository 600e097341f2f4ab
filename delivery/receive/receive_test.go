package receive

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"gomaild/accounts"
	"gomaild/auth"
	"gomaild/delivery/local"
	"gomaild/delivery/routing"
	"gomaild/mail"
	"gomaild/smtp"
)

var errDatabase = errors.New("database is down")

// world is a Router, Mailboxes and Agent in memory.
type world struct {
	mailboxes map[string]bool     // active mailboxes
	aliases   map[string][]string // address to destinations
	owns      map[string]string   // sender address to login
	copies    map[string]string   // sender or recipient to who gets a copy
	down      bool                // the database

	mu       sync.Mutex // guards the fields below
	fails    map[string]error
	got      map[string][]string // mailbox to messages as stored, "folder|" first when there is a detail
	last     local.Message
	spooling error
}

func newWorld() *world {
	return &world{
		mailboxes: map[string]bool{"alice@example.org": true, "bob@example.org": true, "carol@example.org": true},
		aliases: map[string][]string{
			"team@example.org":  {"alice@example.org", "bob@example.org"},
			"out@example.org":   {"alice@example.org", "x@far.test"},
			"left@example.org":  {"alice@example.org", "gone@example.org"},
			"gone@example.org":  {},
			"lost@example.org":  {"drop@far.test"},
			"half@example.org":  {"drop@far.test", "bob@example.org"},
			"alice@example.org": {"alice@example.org", "bob@example.org"},
		},
		owns:  map[string]string{"sales@example.org": "alice@example.org", "alice@example.org": "alice@example.org"},
		fails: make(map[string]error),
		got:   make(map[string][]string),
	}
}

func address(s string) mail.Address {
	local, domain, _ := strings.Cut(s, "@")
	return mail.Address{Local: local, Domain: domain}
}

func (w *world) Resolve(_ context.Context, to mail.Address) ([]routing.Destination, error) {
	if w.down {
		return nil, errDatabase
	}
	if to.Domain != "example.org" {
		return nil, &mail.Status{Code: 554, Enhanced: "5.7.1", Text: "<" + to.String() + ">: Relay access denied", Cause: routing.ErrNotLocal}
	}
	list, ok := w.aliases[to.String()]
	if !ok {
		base, _, _ := to.CutDetail('+')
		if !w.mailboxes[base.String()] {
			return nil, &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "<" + to.String() + ">: User unknown"}
		}
		list = []string{to.String()}
	}
	var out []routing.Destination
	for _, s := range list {
		a := address(s)
		base, detail, _ := a.CutDetail('+')
		d := routing.Destination{Class: routing.Remote, Address: a}
		switch {
		case a.Local == "drop":
			d.Class = routing.Discard
		case w.mailboxes[base.String()]:
			d = routing.Destination{Class: routing.Local, Address: a, Mailbox: accounts.Mailbox{Address: base}, Detail: detail}
		case a.Domain == "example.org":
			d.Class = routing.NoUser
		}
		out = append(out, d)
	}
	return out, nil
}

func (w *world) Relay(ctx context.Context, to mail.Address) ([]routing.Destination, error) {
	list, err := w.Resolve(ctx, to)
	if errors.Is(err, routing.ErrNotLocal) {
		return []routing.Destination{{Class: routing.Remote, Address: to}}, nil
	}
	return list, err
}

func (w *world) Copies(from mail.Address, to []mail.Address) (list []mail.Address, err error) {
	for _, a := range append([]mail.Address{from}, to...) {
		if c := w.copies[a.String()]; c != "" {
			list = append(list, address(c))
		}
	}
	return list, nil
}

func (w *world) MaySendAs(_ context.Context, login, from mail.Address) (bool, error) {
	if w.down {
		return false, errDatabase
	}
	return w.owns[from.String()] == login.String(), nil
}

func (w *world) Mailbox(_ context.Context, a mail.Address) (accounts.Mailbox, error) {
	switch {
	case w.down:
		return accounts.Mailbox{}, errDatabase
	case !w.mailboxes[a.String()]:
		return accounts.Mailbox{}, accounts.ErrNotFound
	}
	return accounts.Mailbox{Address: a}, nil
}

func (w *world) Deliver(_ context.Context, m local.Message, to []local.Recipient) []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = m
	results := make([]error, len(to))
	for i, r := range to {
		name := r.Mailbox.Address.String()
		if results[i] = w.fails[name]; results[i] != nil {
			continue
		}
		var b strings.Builder
		if r.Detail != "" {
			b.WriteString(r.Detail + "|")
		}
		if r.Folder != "" {
			b.WriteString(r.Folder + "!")
		}
		if r.ReturnPath {
			b.WriteString("Return-Path: " + m.From.String() + "\r\n")
		}
		if !r.DeliveredTo.IsZero() {
			b.WriteString("Delivered-To: " + r.DeliveredTo.String() + "\r\n")
		}
		b.Write(m.Trace)
		io.Copy(&b, io.NewSectionReader(m.Content, 0, m.Content.Size()))
		w.got[name] = append(w.got[name], b.String())
	}
	return results
}

// spooled is content in memory that knows whether it was closed.
type spooled struct {
	*bytes.Reader
	open *int
}

func (s spooled) Close() error { *s.open--; return nil }

// bench is a world and the receivers on it.
type bench struct {
	*world
	config Config
	log    bytes.Buffer
	open   int // spooled messages that were not closed
}

func newBench() *bench {
	b := &bench{world: newWorld()}
	b.config = Config{
		Hostname: "mx.example.org", Router: b.world, Local: b.world, Mailboxes: b.world, Delimiter: '+',
		Spool: func(r io.Reader) (Content, error) {
			text, err := io.ReadAll(r)
			if err == nil {
				err = b.spooling
			}
			if err != nil {
				var none *spooled
				return none, err // as a function that returns a concrete type does
			}
			b.open++
			return spooled{bytes.NewReader(text), &b.open}, nil
		},
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		Now:    func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
	return b
}

var client = smtp.Client{Session: "S1", Message: "S1.1", Addr: netip.MustParseAddr("192.0.2.7"), Helo: "client.test", Protocol: "ESMTP"}

func loggedIn(login string, maySend bool) smtp.Client {
	c := client
	c.Protocol, c.Identity = "ESMTPSA", &auth.Identity{Account: address(login), MaySend: maySend}
	c.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	return c
}

// reply is an outcome in short: "250", or code, enhanced code and text.
func reply(err error) string {
	if err == nil {
		return "250"
	}
	s := mail.StatusOf(err)
	return fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
}

// session runs one transaction and returns all its replies.
func session(t *testing.T, r smtp.Receiver, c smtp.Client, from string, to []string, content string) []string {
	t.Helper()
	v, err := r.(smtp.Opener).Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	tx, err := v.Begin(t.Context(), c, mail.ReversePath{Address: address(from)})
	replies := []string{reply(err)}
	if err != nil {
		return replies
	}
	accepted := 0
	for _, s := range to {
		err := tx.AddRecipient(t.Context(), mail.Recipient{Address: address(s)})
		replies = append(replies, reply(err))
		if err == nil {
			accepted++
		}
	}
	if accepted == 0 {
		tx.Abort()
		return replies
	}
	results := tx.Commit(t.Context(), strings.NewReader(content))
	if len(results) != accepted {
		t.Fatalf("%d results for %d recipients", len(results), accepted)
	}
	for _, err := range results {
		replies = append(replies, reply(err))
	}
	return replies
}

const hello = "Message-ID: <m@x>\r\nDate: d\r\nSubject: hi\r\n\r\nhello\r\n"

func TestReplies(t *testing.T) {
	t.Parallel()
	full := &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Mailbox is full"}
	for _, tt := range []struct {
		rule  string
		make  func(Config) smtp.Receiver
		setup func(*bench)
		from  string
		as    smtp.Client
		to    []string
		want  []string // MAIL, each RCPT, each result
	}{
		{rule: "local mail is delivered", make: NewMX, to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "the MX takes bounces", make: NewMX, from: "@", to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "unknown user", make: NewMX, to: []string{"nobody@example.org"},
			want: []string{"250", "550 5.1.1 <nobody@example.org>: User unknown"}},
		{rule: "not an open relay", make: NewMX, to: []string{"x@far.test"},
			want: []string{"250", "554 5.7.1 <x@far.test>: Relay access denied"}},
		{rule: "database down at RCPT", make: NewMX, setup: func(b *bench) { b.down = true }, to: []string{"bob@example.org"},
			want: []string{"250", "451 4.3.0 Temporary lookup failure"}},
		{rule: "an alias that leads outside waits with the sender", make: NewMX, to: []string{"out@example.org"},
			want: []string{"250", "451 4.3.5 <out@example.org>: leads to another host, and relaying is not enabled here"}},
		{rule: "a member who left does not stop the list", make: NewMX, to: []string{"left@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "an alias to nobody", make: NewMX, to: []string{"gone@example.org"},
			want: []string{"250", "550 5.1.1 <gone@example.org>: Recipient address rejected: User unknown"}},
		{rule: "over quota alone", make: NewMX, setup: func(b *bench) { b.fails["bob@example.org"] = full }, to: []string{"bob@example.org"},
			want: []string{"250", "250", "552 5.2.2 Mailbox is full"}},
		{rule: "SMTP: permanent for one names it", make: NewMX, setup: func(b *bench) { b.fails["bob@example.org"] = full },
			to:   []string{"carol@example.org", "bob@example.org"},
			want: []string{"250", "250", "250", "552 5.2.2 <bob@example.org>: Mailbox is full", "552 5.2.2 <bob@example.org>: Mailbox is full"}},
		{rule: "LMTP: each its own", make: NewLMTP, setup: func(b *bench) { b.fails["bob@example.org"] = full },
			to:   []string{"carol@example.org", "bob@example.org"},
			want: []string{"250", "250", "250", "250", "552 5.2.2 Mailbox is full"}},
		{rule: "SMTP: temporary goes before permanent", make: NewMX,
			setup: func(b *bench) { b.fails["bob@example.org"] = full; b.fails["carol@example.org"] = errors.New("disk") },
			to:    []string{"bob@example.org", "carol@example.org"},
			want: []string{"250", "250", "250", "451 4.3.0 <carol@example.org>: Temporary internal error, try again later",
				"451 4.3.0 <carol@example.org>: Temporary internal error, try again later"}},
		{rule: "disk full while spooling", make: NewMX, setup: func(b *bench) { b.spooling = fmt.Errorf("write: %w", syscall.ENOSPC) },
			to: []string{"bob@example.org"}, want: []string{"250", "250", "452 4.3.1 Insufficient system storage"}},

		{rule: "submission needs a login", make: NewSubmission, to: []string{"bob@example.org"},
			want: []string{"530 5.7.0 Authentication required"}},
		{rule: "submission from a trusted host", make: NewSubmission, setup: func(b *bench) { b.config.Trusted = true },
			from: "any@body.test", to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "own address", make: NewSubmission, as: loggedIn("alice@example.org", true), from: "alice@example.org",
			to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "an alias that leads to the login", make: NewSubmission, as: loggedIn("alice@example.org", true), from: "sales@example.org",
			to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "somebody else's address", make: NewSubmission, as: loggedIn("bob@example.org", true), from: "alice@example.org",
			want: []string{"553 5.7.1 <alice@example.org>: Sender address rejected: not owned by user bob@example.org"}},
		{rule: "the null reverse-path of a receipt", make: NewSubmission, as: loggedIn("alice@example.org", true), from: "@",
			to: []string{"bob@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "an account that may not send", make: NewSubmission, as: loggedIn("alice@example.org", false), from: "alice@example.org",
			want: []string{"550 5.7.1 This account may not send mail"}},
		{rule: "database down at MAIL", make: NewSubmission, setup: func(b *bench) { b.down = true }, as: loggedIn("alice@example.org", true),
			from: "alice@example.org", want: []string{"451 4.3.0 Temporary lookup failure"}},
		{rule: "submission to another host", make: NewSubmission, as: loggedIn("alice@example.org", true), from: "alice@example.org",
			to:   []string{"x@far.test"},
			want: []string{"250", "550 5.7.1 <x@far.test>: Recipient address rejected: sending to other hosts is not enabled here"}},

		{rule: "LMTP: database down", make: NewLMTP, setup: func(b *bench) { b.down = true }, to: []string{"bob@example.org"},
			want: []string{"250", "451 4.3.0 Temporary lookup failure"}},
		{rule: "LMTP: an address that is no mailbox is routed", make: NewLMTP, to: []string{"team@example.org"}, want: []string{"250", "250", "250"}},
		{rule: "LDA: unknown", make: NewLDA, to: []string{"nobody@example.org"},
			want: []string{"250", "550 5.1.1 <nobody@example.org>: User unknown"}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			if tt.setup != nil {
				tt.setup(b)
			}
			if tt.as.Session == "" {
				tt.as = client
			}
			if tt.from == "" {
				tt.from = "sender@remote.test"
			}
			got := session(t, tt.make(b.config), tt.as, strings.TrimPrefix(tt.from, "@"), tt.to, hello)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if b.open != 0 {
				t.Errorf("%d spooled messages were not closed", b.open)
			}
			if !strings.Contains(b.log.String(), " id=S1.1 ") {
				t.Errorf("the log does not name the message:\n%s", &b.log)
			}
		})
	}
}

func TestStored(t *testing.T) {
	t.Parallel()
	const received = "Received: from client.test ([192.0.2.7])\r\n\tby mx.example.org with "
	for _, tt := range []struct {
		rule    string
		make    func(Config) smtp.Receiver
		as      smtp.Client
		from    string
		to      []string
		content string
		mailbox string
		want    []string // messages in mailbox
	}{
		{"MX", NewMX, client, "s@r.test", []string{"bob@example.org"}, hello, "bob@example.org",
			[]string{"Return-Path: <s@r.test>\r\nDelivered-To: bob@example.org\r\n" + received +
				"ESMTP\r\n\tid S1.1\r\n\tfor <bob@example.org>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n" + hello}},
		{"copies do not tell of one another", NewMX, client, "s@r.test", []string{"bob@example.org", "carol@example.org"}, hello, "bob@example.org",
			[]string{"Return-Path: <s@r.test>\r\nDelivered-To: bob@example.org\r\n" + received +
				"ESMTP\r\n\tid S1.1;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n" + hello}},
		{"TLS is shown", NewSubmission, loggedIn("alice@example.org", true), "alice@example.org", []string{"bob@example.org"}, hello, "bob@example.org",
			[]string{"Return-Path: <alice@example.org>\r\nDelivered-To: bob@example.org\r\nReceived: by mx.example.org with " +
				"ESMTPSA\r\n\t(using TLS 1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n\tid S1.1\r\n\tfor <bob@example.org>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n" + hello}},
		{"each Return-Path of the sender's goes, folded and in any case", NewMX, client, "", []string{"bob@example.org"}, "Return-Path: <forged>\r\nA: b\r\nreturn-PATH: <x@y>\r\n\t(folded)\r\n\r\nReturn-Path: body\r\n", "bob@example.org",
			[]string{"Return-Path: <>\r\nDelivered-To: bob@example.org\r\n" + received +
				"ESMTP\r\n\tid S1.1\r\n\tfor <bob@example.org>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\nA: b\r\n\r\nReturn-Path: body\r\n"}},
		{"one copy for a mailbox named twice", NewMX, client, "s@r.test", []string{"bob@example.org", "team@example.org", "bob@example.org"}, "\r\n", "bob@example.org",
			[]string{"Return-Path: <s@r.test>\r\nDelivered-To: bob@example.org\r\n" + received + "ESMTP\r\n\tid S1.1;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n\r\n"}},
		{"an alias names its members", NewMX, client, "s@r.test", []string{"team@example.org"}, "\r\n", "bob@example.org",
			[]string{"Return-Path: <s@r.test>\r\nDelivered-To: bob@example.org\r\n" + received +
				"ESMTP\r\n\tid S1.1\r\n\tfor <team@example.org>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n\r\n"}},
		{"LMTP as Dovecot", NewLMTP, client, "s@r.test", []string{"bob+list@example.org"}, "\r\n", "bob@example.org",
			[]string{"list|Return-Path: <s@r.test>\r\nDelivered-To: bob+list@example.org\r\n" + received +
				"ESMTP\r\n\tid S1.1\r\n\t(envelope-from <s@r.test>)\r\n\tfor <bob+list@example.org>;\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n\r\n"}},
		{"LMTP with two recipients has no Delivered-To", NewLMTP, client, "s@r.test", []string{"bob@example.org", "carol@example.org"}, "\r\n", "bob@example.org",
			[]string{"Return-Path: <s@r.test>\r\n" + received +
				"ESMTP\r\n\tid S1.1\r\n\t(envelope-from <s@r.test>);\r\n\tFri, 02 Jan 2026 03:04:05 +0000\r\n\r\n"}},
		{"LMTP does not expand what the MTA expanded", NewLMTP, client, "s@r.test", []string{"alice@example.org"}, "\r\n", "bob@example.org", nil},
		{"LDA adds and takes nothing", NewLDA, client, "s@r.test", []string{"alice@example.org"}, "Return-Path: <s@r.test>\r\nDelivered-To: alice@example.org\r\n\r\n", "alice@example.org",
			[]string{"Return-Path: <s@r.test>\r\nDelivered-To: alice@example.org\r\n\r\n"}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			session(t, tt.make(b.config), tt.as, tt.from, tt.to, tt.content)
			if got := b.got[tt.mailbox]; !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSubmissionCompletes(t *testing.T) {
	t.Parallel()
	b := newBench()
	session(t, NewSubmission(b.config), loggedIn("alice@example.org", true), "alice@example.org", []string{"bob@example.org"}, "Subject: x\r\n\r\n")
	got := b.got["bob@example.org"][0]
	if strings.Count(got, "\r\nMessage-ID: <") != 1 || !strings.Contains(got, "@mx.example.org>\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\nSubject: x\r\n") {
		t.Errorf("%q", got)
	}
	session(t, NewMX(b.config), client, "s@r.test", []string{"carol@example.org"}, "Subject: x\r\n\r\n")
	if got := b.got["carol@example.org"][0]; strings.Contains(got, "Message-ID") {
		t.Errorf("the MX completes a stranger's message: %q", got)
	}
}

// TestBlindCopies holds that the recipients of a submission do not learn of
// those in its Bcc fields. A stranger's message is not ours to edit.
func TestBlindCopies(t *testing.T) {
	t.Parallel()
	const content = "To: a@x\r\nBcc: secret@x,\r\n\tsecret@y\r\nresent-bcc: secret@z\r\nSubject: Bcc\r\n\r\nBcc: body\r\n"
	b := newBench()
	session(t, trustedSubmission(b.config), client, "s@r.test", []string{"bob@example.org"}, content)
	if got := b.got["bob@example.org"][0]; strings.Contains(got, "secret") || !strings.HasSuffix(got, "To: a@x\r\nSubject: Bcc\r\n\r\nBcc: body\r\n") {
		t.Errorf("submission: %q", got)
	}
	session(t, NewMX(b.config), client, "s@r.test", []string{"carol@example.org"}, content)
	if got := b.got["carol@example.org"][0]; !strings.HasSuffix(got, content) {
		t.Errorf("MX: %q", got)
	}
}

// TestSenderCannotForge holds that a quoted local part does not end the comment
// of the Received field that it stands in.
func TestSenderCannotForge(t *testing.T) {
	t.Parallel()
	tx := &transaction{r: newReceiver(newBench().config, way{isLMTP: true}), client: client}
	tx.from.Address = mail.Address{Local: `a) by evil (\`, Domain: "x.test"}
	if got := tx.received(); !strings.Contains(got, `(envelope-from <"a\) by evil \(\\\\"@x.test>)`) {
		t.Errorf("%q", got)
	}
}

func trustedSubmission(c Config) smtp.Receiver {
	c.Trusted = true
	return NewSubmission(c)
}

func TestLoops(t *testing.T) {
	t.Parallel()
	b := newBench()
	hops := func(n int) string { return strings.Repeat("Received: x\r\n", n) + "\r\n" }
	const loop = "554 5.4.6 mail forwarding loop for <bob@example.org>"
	for _, tt := range []struct {
		rule, content, want string
		make                func(Config) smtp.Receiver
	}{
		{"as many hops as allowed", hops(50), "250", NewMX},
		{"one hop more", hops(51), "554 5.4.6 Too many hops: this message is going round in a circle", NewMX},
		{"delivered to this address before", "Delivered-To: bob@example.org\r\n\r\n", loop, NewMX},
		{"in other letters, below others", "A: b\r\ndelivered-to:  <Bob@Example.org>\r\n\r\n", loop, NewMX},
		{"second of its kind", "Delivered-To: x@example.org\r\nDelivered-To: bob@example.org\r\n\r\n", loop, NewMX},
		{"delivered to another before", "Delivered-To: x@example.org\r\n\r\n", "250", NewMX},
		{"part of an address", "Delivered-To: jacob@example.org\r\n\r\n", "250", NewMX},
		{"in the body", "\r\nDelivered-To: bob@example.org\r\n", "250", NewMX},
		{"in a folded field", "X: 1\r\n Delivered-To: bob@example.org\r\n\r\n", "250", NewMX},
		{"submitted again", "Delivered-To: bob@example.org\r\n\r\n", loop, trustedSubmission},
		{"over LMTP the MTA before us has looked", "Delivered-To: bob@example.org\r\n\r\n", "250", NewLMTP},
		{"so it has for the LDA", "Delivered-To: bob@example.org\r\n\r\n", "250", NewLDA},
	} {
		got := session(t, tt.make(b.config), client, "s@r.test", []string{"bob@example.org"}, tt.content)
		if got[2] != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got[2], tt.want)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	b := newBench()
	o := Order{Session: "pid", From: mail.ReversePath{Address: address("s@r.test")}, To: address("alice@example.org"), Folder: "Lists"}
	o.Content = strings.NewReader(hello)
	if err := Deliver(t.Context(), b.config, o); err != nil || b.got["alice@example.org"][0] != "Lists!"+hello || len(b.got) != 1 {
		t.Errorf("%v, %q", err, b.got)
	}
	o.To = address("nobody@example.org")
	if err := Deliver(t.Context(), b.config, o); !strings.HasPrefix(reply(err), "550 5.1.1") {
		t.Errorf("unknown: %v", err)
	}
}

func TestContentErrorStoresNothing(t *testing.T) {
	t.Parallel()
	for _, make := range []func(Config) smtp.Receiver{NewMX, NewLMTP, NewLDA} {
		b := newBench()
		tx, err := make(b.config).Begin(t.Context(), client, mail.ReversePath{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"bob@example.org", "carol@example.org"} {
			if err := tx.AddRecipient(t.Context(), mail.Recipient{Address: address(s)}); err != nil {
				t.Fatal(err)
			}
		}
		tooBig := &mail.Status{Code: 552, Enhanced: "5.3.4", Text: "Message too big"}
		results := tx.Commit(t.Context(), io.MultiReader(strings.NewReader(hello), iotest.ErrReader(tooBig)))
		if len(results) != 2 || !errors.Is(results[0], tooBig) || !errors.Is(results[1], tooBig) || len(b.got) != 0 {
			t.Errorf("%v, stored %v", results, b.got)
		}
	}
}

func TestHeloCannotForge(t *testing.T) {
	t.Parallel()
	for helo, want := range map[string]string{
		"mail.example.org":       "mail.example.org",
		"[IPv6:2001:db8::1]":     "[IPv6:2001:db8::1]",
		"":                       "unknown",
		"a) by evil (b\r\nX: y":  "a??by?evil??b??X:?y",
		"bücher.example":         "b??cher.example",
		strings.Repeat("a", 300): strings.Repeat("a", 255),
	} {
		if got := sanitiseHelo(helo); got != want {
			t.Errorf("%q becomes %q, want %q", helo, got, want)
		}
	}
}

func FuzzReceived(f *testing.F) {
	f.Add("client.test", "odd\r\nname", "bob\">")
	f.Fuzz(func(t *testing.T, helo, from, to string) {
		tx := &transaction{r: newReceiver(newBench().config, way{isLMTP: true}), client: client, to: []accepted{{Recipient: mail.Recipient{Address: address("bob@example.org")}}}}
		tx.client.Helo = helo
		if a, err := mail.ParseAddress(from); err == nil {
			tx.from.Address = a
		}
		if a, err := mail.ParseAddress(to); err == nil {
			tx.to[0].Address = a
		}
		lines := strings.Split(strings.TrimSuffix(tx.received(), "\r\n"), "\r\n")
		for i, line := range lines {
			if strings.ContainsAny(line, "\r\n") || i > 0 && !strings.HasPrefix(line, "\t") {
				t.Fatalf("%q", lines)
			}
		}
	})
}
