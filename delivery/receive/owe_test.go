package receive

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

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
			b.config.Owe = d.owe
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

// TestOweBeforeLocal holds the order: what must be queued is durable first, and
// what was owed is not owed again when the client comes back because of a local
// recipient.
func TestOweBeforeLocal(t *testing.T) {
	t.Parallel()
	b := newBench()
	d := &debts{err: errors.New("disk")}
	b.config.Owe = d.owe
	r := NewMX(b.config)
	try := func() string {
		got := session(t, r, client, "s@remote.test", []string{"out@example.org", "bob@example.org"}, hi)
		return got[len(got)-1][:3]
	}
	if got := try(); got != "451" || len(b.got["bob@example.org"]) != 1 {
		t.Errorf("%s; bob has %d", got, len(b.got["bob@example.org"]))
	}
	d.err = nil
	b.fails["alice@example.org"] = errors.New("disk")
	delete(b.got, "alice@example.org")
	// alice had it from the first try, as nothing of hers failed then.
	if got := try(); got != "250" || len(d.calls) != 1 || len(b.got["bob@example.org"]) != 1 {
		t.Errorf("%s; owed %q, bob has %d", got, d.calls, len(b.got["bob@example.org"]))
	}

	b = newBench()
	d = &debts{}
	b.config.Owe = d.owe
	r = NewMX(b.config)
	b.fails["bob@example.org"] = errors.New("disk")
	if got := try(); got != "451" || len(d.calls) != 1 {
		t.Errorf("%s; owed %q", got, d.calls)
	}
	delete(b.fails, "bob@example.org")
	if got := try(); got != "250" || len(d.calls) != 1 || len(b.got["bob@example.org"]) != 1 || len(b.got["alice@example.org"]) != 1 {
		t.Errorf("%s; owed %q, bob has %d, alice %d", got, d.calls, len(b.got["bob@example.org"]), len(b.got["alice@example.org"]))
	}
}
