package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
	"gomaild/policy/rate"
)

// TestRates holds who shares a limit with whom, and what each is told.
func TestRates(t *testing.T) {
	t.Parallel()
	one := []rate.Limit{{N: 1, Per: time.Minute}}
	for _, tt := range []struct {
		rule          string
		rates         Rates
		first, second string // client and reverse-path
		want          int    // code for the second, 0 if let in
	}{
		{"no limit", Rates{}, "192.0.2.7 a@x.test", "192.0.2.7 a@x.test", 0},
		{"connections of a client", Rates{ClientConnections: one}, "192.0.2.7", "192.0.2.7", 421},
		{"of another", Rates{ClientConnections: one}, "192.0.2.7", "192.0.2.8", 0},
		{"a /64 is one client", Rates{ClientConnections: one}, "2001:db8::1", "2001:db8::2", 421},
		{"connections of a network", Rates{NetworkConnections: one}, "192.0.2.7", "192.0.2.8", 421},
		{"of another network", Rates{NetworkConnections: one}, "192.0.2.7", "192.0.3.7", 0},
		{"a /48 is one network", Rates{NetworkConnections: one}, "2001:db8:1:2::1", "2001:db8:1:3::1", 421},
		{"a unix socket is nobody", Rates{ClientConnections: one, NetworkMessages: one}, "", "", 0},
		{"messages of a client", Rates{ClientMessages: one}, "192.0.2.7 a@x.test", "192.0.2.7 b@x.test", 450},
		{"messages of a network", Rates{NetworkMessages: one}, "192.0.2.7 a@x.test", "192.0.2.8 b@x.test", 450},
		{"messages of a sender", Rates{SenderMessages: one}, "192.0.2.7 a@x.test", "198.51.100.1 A@x.test", 450},
		{"the null reverse-path is nobody's", Rates{SenderMessages: one}, "192.0.2.7", "192.0.2.7", 0},
		{"recipients of a client", Rates{ClientRecipients: one}, "192.0.2.7 a@x.test", "192.0.2.7 b@x.test", 450},
		{"recipients of a network", Rates{NetworkRecipients: one}, "192.0.2.7 a@x.test", "192.0.2.8 b@x.test", 450},
		{"recipients of a sender", Rates{SenderRecipients: one}, "192.0.2.7 a@x.test", "198.51.100.1 a@x.test", 450},
	} {
		now := time.Unix(1e9, 0)
		p := newPolicy(t, Config{Rates: tt.rates, Now: func() time.Time { return now }})
		come := func(who string) error {
			host, from, _ := strings.Cut(who, " ")
			q := Query{From: address(t, from)}
			if host != "" {
				q.Client = netip.MustParseAddr(host)
			}
			if err := p.Connect(t.Context(), q.Client); err != nil {
				return err
			}
			j, err := p.Begin(t.Context(), q)
			if err == nil {
				err = j.Recipient(t.Context(), address(t, "bob@example.net").Address)
			}
			return err
		}
		if err := come(tt.first); err != nil {
			t.Errorf("%s: the first: %v", tt.rule, err)
		}
		err := come(tt.second)
		switch got := mail.StatusOf(err); {
		case tt.want == 0 && err != nil:
			t.Errorf("%s: %v", tt.rule, err)
		case tt.want != 0 && (got.Code != tt.want || got.Enhanced != "4.7.1" || !strings.HasSuffix(got.Text, "in 60 seconds")):
			t.Errorf("%s: %v, want %d", tt.rule, err, tt.want)
		}
		now = now.Add(time.Minute)
		if err := come(tt.second); err != nil {
			t.Errorf("%s: after a minute: %v", tt.rule, err)
		}
	}
}

// TestBrakes holds that an account is held back by whichever limit is reached,
// with the time, and that others are not.
func TestBrakes(t *testing.T) {
	t.Parallel()
	b := &Brakes{
		Messages:   []rate.Limit{{N: 2, Per: time.Hour}, {N: 100, Per: 24 * time.Hour}},
		Recipients: []rate.Limit{{N: 3, Per: time.Hour}},
		Table:      rate.NewTable(0), Now: func() time.Time { return time.Unix(1e9, 0) },
	}
	alice, bob := address(t, "alice@example.net").Address, address(t, "bob@example.net").Address
	for i, want := range []string{"", "", "450 4.7.1 Rate limit exceeded: come again in 3600 seconds"} {
		if got := text(b.Message(alice)); got != want {
			t.Errorf("message %d: %q, want %q", i+1, got, want)
		}
	}
	if r, ok := errors.AsType[*Refusal](b.Message(alice)); !ok || r.Check != "account_message_rate" {
		t.Errorf("the check is %v", r)
	}
	for i, want := range []string{"", "", "", "450 4.7.1 Rate limit exceeded: come again in 3600 seconds"} {
		if got := text(b.Recipient(alice)); got != want {
			t.Errorf("recipient %d: %q, want %q", i+1, got, want)
		}
	}
	if err := b.Message(bob); err != nil {
		t.Errorf("another account: %v", err)
	}
	if err := new(Brakes).Message(bob); err != nil {
		t.Errorf("no brakes: %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return mail.StatusOf(err).Error()
}
