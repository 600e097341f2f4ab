package receive

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gomaild/delivery/local"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

// debts is what was owed, one line for each call.
type debts struct {
	err   error
	calls []string
}

func (d *debts) owe(_ context.Context, from mail.ReversePath, to []Owed, c message.Content) (string, error) {
	if d.err != nil {
		return "", d.err
	}
	text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		return "", err
	}
	line := from.String()
	for _, o := range to {
		line += " " + o.Address.String()
		if o.ORcpt != "" {
			line += "(" + o.ORcpt + ")"
		}
	}
	if !strings.Contains(string(text), "Received: ") || !strings.HasSuffix(string(text), "Hi.\r\n") {
		line += " " + string(text)
	}
	d.calls = append(d.calls, line)
	return "Q1", nil
}

const hi = "From: a@example.org\r\n\r\nHi.\r\n"

// TestOwe holds who is owed what, and what the client hears.
func TestOwe(t *testing.T) {
	t.Parallel()
	alice := loggedIn("alice@example.org", true)
	for _, tt := range []struct {
		rule  string
		make  func(Config) smtp.Receiver
		as    smtp.Client
		from  string
		to    []string
		err   error
		want  []string // replies
		calls []string
		local []string // mailboxes that have it
	}{
		{"a submission to another host", NewSubmission, alice, "alice@example.org", []string{"x@far.test"}, nil,
			[]string{"250", "250", "250"}, []string{"<alice@example.org> x@far.test"}, nil},
		{"to several, once each", NewSubmission, alice, "alice@example.org", []string{"x@far.test", "y@far.test", "x@far.test", "bob@example.org"}, nil,
			[]string{"250", "250", "250", "250", "250", "250", "250", "250", "250"}, []string{"<alice@example.org> x@far.test y@far.test"}, []string{"bob@example.org"}},
		{"an alias that leads outside too", NewMX, client, "s@remote.test", []string{"out@example.org"}, nil,
			[]string{"250", "250", "250"}, []string{"<s@remote.test> x@far.test(rfc822;out@example.org)"}, []string{"alice@example.org"}},
		{"a stranger is no user", NewMX, client, "s@remote.test", []string{"x@far.test"}, nil,
			[]string{"250", "554 5.7.1 <x@far.test>: Relay access denied"}, nil, nil},
		{"the queue cannot be written", NewSubmission, alice, "alice@example.org", []string{"x@far.test"}, errors.New("disk"),
			[]string{"250", "250", "451 4.3.0 Temporary internal error, try again later"}, nil, nil},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			d := &debts{err: tt.err}
			b.config.Owe, b.config.Elsewhere = d.owe, true
			if got := session(t, tt.make(b.config), tt.as, tt.from, tt.to, hi); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if !slices.Equal(d.calls, tt.calls) {
				t.Errorf("owed %q, want %q", d.calls, tt.calls)
			}
			for name := range b.mailboxes {
				if has := len(b.got[name]) == 1; has != slices.Contains(tt.local, name) {
					t.Errorf("%s has %d messages", name, len(b.got[name]))
				}
			}
		})
	}
}

// TestOweBeforeLocal holds the order: where the queue cannot be written nobody
// has the message, so that the next try brings it to nobody twice.
func TestOweBeforeLocal(t *testing.T) {
	t.Parallel()
	b := newBench()
	d := &debts{err: errors.New("disk")}
	b.config.Owe, b.config.Elsewhere = d.owe, true
	r := NewMX(b.config)
	got := session(t, r, client, "s@remote.test", []string{"out@example.org", "bob@example.org"}, hi)
	if got[len(got)-1][:3] != "451" || len(b.got) != 0 {
		t.Errorf("%q; got %v", got, b.got)
	}
}

// TestPutOff holds who is owed a message because of a mailbox that fails now.
func TestPutOff(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk")
	full := &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Mailbox is full"}
	refused := &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "No", Cause: local.ErrRefused}
	for _, tt := range []struct {
		rule    string
		make    func(Config) smtp.Receiver
		bob     error // what bob's mailbox says
		owe     error
		to      []string
		replies string // after end-of-data, the first of one for all
		calls   []string
		alice   int // messages that she has
	}{
		{"others have it", NewMX, disk, nil, []string{"alice+x@example.org", "bob+y@example.org"}, "250", []string{"<s@r.test> bob+y@example.org"}, 1},
		{"a member of an alias", NewMX, disk, nil, []string{"team@example.org"}, "250", []string{"<s@r.test> bob@example.org(rfc822;team@example.org)"}, 1},
		{"nobody has it", NewMX, disk, nil, []string{"bob@example.org"}, "451", nil, 0},
		{"for good", NewMX, full, nil, []string{"alice+x@example.org", "bob@example.org"}, "552", nil, 1},
		{"a script refuses, others have it", NewMX, refused, nil, []string{"alice+x@example.org", "bob@example.org"}, "250", []string{"<s@r.test> bob@example.org"}, 1},
		{"a script of a member of an alias refuses", NewMX, refused, nil, []string{"team@example.org"}, "250", []string{"<s@r.test> bob@example.org(rfc822;team@example.org)"}, 1},
		{"a script refuses, nobody has it", NewMX, refused, nil, []string{"bob@example.org"}, "550", nil, 0},
		{"a script refuses, over LMTP", NewLMTP, refused, nil, []string{"alice@example.org", "bob@example.org"}, "250 550", nil, 1},
		{"the queue cannot be written", NewMX, disk, disk, []string{"alice+x@example.org", "bob@example.org"}, "451", nil, 1},
		{"LMTP has a reply for each", NewLMTP, disk, nil, []string{"alice@example.org", "bob@example.org"}, "250 451", nil, 1},
		{"one recipient in two mailboxes", NewLMTP, disk, nil, []string{"team@example.org", "bob@example.org"}, "250 250", []string{"<s@r.test> bob@example.org(rfc822;team@example.org)"}, 1},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			d := &debts{err: tt.owe}
			b.config.Owe = d.owe
			b.fails["bob@example.org"] = tt.bob
			got := session(t, tt.make(b.config), client, "s@r.test", tt.to, hi)
			replies := got[1+len(tt.to):]
			for i := range replies {
				replies[i] = replies[i][:3]
			}
			if s := strings.Join(replies, " "); !strings.HasPrefix(s, tt.replies) {
				t.Errorf("replies %s, want %s", s, tt.replies)
			}
			if !slices.Equal(d.calls, tt.calls) || len(b.got["alice@example.org"]) != tt.alice {
				t.Errorf("owed %q, want %q; alice has %d", d.calls, tt.calls, len(b.got["alice@example.org"]))
			}
		})
	}
}

// TestRedeliver holds that a message that was put off is stored as it would have
// been, in one mailbox.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	b := newBench()
	o := Order{From: mail.ReversePath{Address: address("s@r.test")}, To: address("alice+x@example.org"), Folder: "Junk", Content: strings.NewReader("Received: here\r\n" + hi)}
	if err := Redeliver(t.Context(), b.config, o); err != nil {
		t.Fatal(err)
	}
	want := "Junk!Return-Path: <s@r.test>\r\nDelivered-To: alice+x@example.org\r\nReceived: here\r\n" + hi
	if got := b.got["alice@example.org"]; len(got) != 1 || !strings.HasSuffix(got[0], want) || len(b.got) != 1 {
		t.Errorf("%q", b.got)
	}
}

// TestExpanded: RFC 3461 section 5.2.7.3, c. Of an alias of several addresses the
// sender who asks for it hears that it was expanded, and of its members failures
// only; one of a single address hands on what was asked.
func TestExpanded(t *testing.T) {
	t.Parallel()
	const success, failure, never = mail.NotifySuccess, mail.NotifyFailure, mail.NotifyNever
	for _, tt := range []struct {
		rule   string
		to     string
		notify mail.Notify
		from   string
		fails  string // the mailbox that takes nothing
		told   string
		owed   mail.Notify // of who is elsewhere
	}{
		{"of several", "out@example.org", success | failure, "s@r.test", "", "expanded out@example.org", failure},
		{"nothing but success", "out@example.org", success, "s@r.test", "", "expanded out@example.org", never},
		{"no success", "out@example.org", failure, "s@r.test", "", "", failure},
		{"nothing said", "out@example.org", 0, "s@r.test", "", "", 0},
		{"nobody to tell", "out@example.org", success, "", "", "", never},
		{"a member fails, the client comes again", "out@example.org", success, "s@r.test", "alice@example.org", "", never},
		{"of one", "one@example.org", success | failure, "s@r.test", "", "", success | failure},
		{"no alias", "bob@example.org", success, "s@r.test", "", "delivered bob@example.org", 0},
	} {
		b := newBench()
		b.aliases["out@example.org"] = []string{"alice@example.org", "x@far.test"}
		b.aliases["one@example.org"] = []string{"x@far.test"}
		if tt.fails != "" {
			b.fails = map[string]error{tt.fails: &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Full"}}
		}
		var owed mail.Notify
		var told []string
		tell := func(what string) func(context.Context, mail.ReversePath, []mail.Recipient, message.Content) error {
			return func(_ context.Context, _ mail.ReversePath, to []mail.Recipient, _ message.Content) error {
				for _, r := range to {
					told = append(told, what+" "+r.Address.String())
				}
				return nil
			}
		}
		b.config.Elsewhere, b.config.Delivered, b.config.Expanded = true, tell("delivered"), tell("expanded")
		b.config.Owe = func(_ context.Context, _ mail.ReversePath, to []Owed, _ message.Content) (string, error) {
			owed = to[0].Notify
			return "Q1", nil
		}
		var from mail.ReversePath
		if tt.from != "" {
			from.Address = address(tt.from)
		}
		x, err := NewMX(b.config).Begin(t.Context(), client, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.AddRecipient(t.Context(), mail.Recipient{Address: address(tt.to), Notify: tt.notify}); err != nil {
			t.Fatalf("%s: %v", tt.rule, err)
		}
		x.Commit(t.Context(), strings.NewReader(hi))
		if got := strings.Join(told, ", "); got != tt.told || owed != tt.owed {
			t.Errorf("%s: told %q, want %q; NOTIFY %v goes on, want %v", tt.rule, got, tt.told, owed, tt.owed)
		}
	}
}
