package receive

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/smtp"
)

// TestCopies holds who gets a copy, and that the client hears nothing of it.
func TestCopies(t *testing.T) {
	t.Parallel()
	alice := loggedIn("alice@example.org", true)
	full := &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Mailbox is full"}
	for _, tt := range []struct {
		rule    string
		make    func(Config) smtp.Receiver
		as      smtp.Client
		copies  map[string]string
		carol   error // what her mailbox says
		reply   string
		calls   []string
		has     string // mailboxes that have it
		logText string
	}{
		{"of a recipient", NewMX, client, map[string]string{"bob@example.org": "carol@example.org"}, nil, "250", nil, "bob carol", ""},
		{"of a sender, to another host", NewSubmission, alice, map[string]string{"alice@example.org": "x@far.test"}, nil, "250",
			[]string{"<alice@example.org> x@far.test"}, "bob", ""},
		{"into a mailbox that has it", NewMX, client, map[string]string{"bob@example.org": "bob@example.org"}, nil, "250", nil, "bob", ""},
		{"to nobody", NewMX, client, map[string]string{"bob@example.org": "nobody@example.org"}, nil, "250", nil, "bob", "copy not made"},
		{"to a full mailbox", NewMX, client, map[string]string{"bob@example.org": "carol@example.org"}, full, "250", nil, "bob", "copy not made"},
		{"to a mailbox that fails now", NewMX, client, map[string]string{"bob@example.org": "carol@example.org"}, errors.New("disk"), "250",
			[]string{"<alice@example.org> carol@example.org"}, "bob", ""},
		{"the MTA before us made them", NewLMTP, client, map[string]string{"bob@example.org": "carol@example.org"}, nil, "250", nil, "bob", ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			d := &debts{}
			b.config.Owe, b.config.Elsewhere = d.owe, true
			b.copies = tt.copies
			b.fails["carol@example.org"] = tt.carol
			got := session(t, tt.make(b.config), tt.as, "alice@example.org", []string{"bob@example.org"}, hi)
			if last := got[len(got)-1]; len(got) != 3 || !strings.HasPrefix(last, tt.reply) {
				t.Errorf("replies %q, want %s", got, tt.reply)
			}
			if !slices.Equal(d.calls, tt.calls) {
				t.Errorf("owed %q, want %q", d.calls, tt.calls)
			}
			for name := range b.mailboxes {
				user, _, _ := strings.Cut(name, "@")
				want := 0
				if strings.Contains(tt.has, user) {
					want = 1
				}
				if n := len(b.got[name]); n != want {
					t.Errorf("%s has %d messages", name, n)
				}
			}
			if !strings.Contains(b.log.String(), tt.logText) || tt.logText == "" && strings.Contains(b.log.String(), "copy") {
				t.Errorf("the log says %s", b.log.String())
			}
		})
	}
}

// TestDiscardTransport: what a transport throws away is answered 250 and is
// nowhere; others get theirs.
func TestDiscardTransport(t *testing.T) {
	t.Parallel()
	for to, bob := range map[string]int{"lost@example.org": 0, "half@example.org": 1} {
		b := newBench()
		d := &debts{}
		b.config.Owe, b.config.Elsewhere = d.owe, true
		got := session(t, NewMX(b.config), client, "s@r.test", []string{to}, hi)
		if !slices.Equal(got, []string{"250", "250", "250"}) || len(d.calls) != 0 || len(b.got["bob@example.org"]) != bob {
			t.Errorf("%s: %q, owed %q, %v", to, got, d.calls, b.got)
		}
		if dropped := strings.Contains(b.log.String(), "msg=discarded"); dropped != (bob == 0) {
			t.Errorf("%s: the log says %s", to, b.log.String())
		}
	}
}
