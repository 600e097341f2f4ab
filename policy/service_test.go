package policy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"gomaild/mail"
)

// says is a Service that always says the same.
type says struct {
	action string
	err    error
	asked  *[][2]string
}

func (s says) Ask(_ context.Context, request [][2]string) (string, error) {
	if s.asked != nil {
		*s.asked = request
	}
	return s.action, s.err
}

func (says) Close() error { return nil }

// TestPolicyService holds what each action of a policy server does to a
// recipient.
func TestPolicyService(t *testing.T) {
	t.Parallel()
	const rejected = "Recipient address rejected: "
	for _, tt := range []struct{ action, want string }{
		{"DUNNO", "504"}, {"dunno", "504"}, {"OK", ""}, {"PERMIT", ""}, {"WARN x", "504"}, {"DEFER_IF_REJECT later", "504"},
		{"REJECT", "554 5.7.1 " + rejected + "Access denied"},
		{"REJECT go away", "554 5.7.1 " + rejected + "go away"},
		{"REJECT 5.7.26 go away", "554 5.7.26 " + rejected + "go away"},
		{"REJECT 4.7.1 no class of ours", "554 5.7.1 " + rejected + "4.7.1 no class of ours"},
		{"DEFER later", "450 4.7.1 " + rejected + "later"},
		{"DEFER_IF_PERMIT Greylisted\x01", "450 4.7.1 " + rejected + "Greylisted?"},
		{"450 4.2.0 wait", "450 4.2.0 " + rejected + "wait"},
		{"521 no", "521 5.7.1 " + rejected + "no"},
		{"250 yes", "451 4.3.5 " + rejected + "policy service is not available"},
		{"HOLD", "451 4.3.5 " + rejected + "policy service is not available"},
		{"", "451 4.3.5 " + rejected + "policy service is not available"},
		{"PREPEND no field", "451 4.3.5 " + rejected + "policy service is not available"},
		{"PREPEND X-A: b", "504"},
	} {
		p := newPolicy(t, Config{Checks: []string{"check_policy_service", "reject_non_fqdn_recipient"}, Services: []Service{says{action: tt.action}}})
		j, err := p.Begin(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if s := mail.StatusOf(j.Recipient(t.Context(), address(t, "a@localhost").Address)); s != nil {
			got = (&mail.Status{Code: s.Code, Enhanced: s.Enhanced, Text: s.Text}).Error()
		}
		if tt.want == "504" && strings.HasPrefix(got, "504 ") {
			continue // the next check was made
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.action, got, tt.want)
		}
	}
}

// TestPolicyServices holds the request, the order, what prepended fields come
// to, and what a service that is down does.
func TestPolicyServices(t *testing.T) {
	t.Parallel()
	var asked [][2]string
	down := says{err: errors.New("down")}
	services := []Service{down, says{action: "PREPEND X-One: 1", asked: &asked}, says{action: "PREPEND X-Two: 2"}}
	p := newPolicy(t, Config{Checks: []string{"check_policy_service"}, Services: services, WithoutService: func(error) error { return nil }})
	j, err := p.Begin(t.Context(), Query{Client: netip.MustParseAddr("192.0.2.7"), Helo: "r.test", From: address(t, "s@r.test"), Protocol: "ESMTP", Instance: "S1.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"a@x.test", "b@x.test"} {
		if err := j.Recipient(t.Context(), address(t, to).Address); err != nil {
			t.Error(err)
		}
	}
	v, err := j.Content(t.Context(), strings.NewReader("\r\n"))
	if err != nil || string(v.Field) != "X-One: 1\r\nX-Two: 2\r\n" {
		t.Errorf("%q, %v", v.Field, err)
	}
	sent := map[string]string{}
	for _, a := range asked {
		sent[a[0]] = a[1]
	}
	for name, want := range map[string]string{
		"request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP", "client_address": "192.0.2.7",
		"helo_name": "r.test", "sender": "s@r.test", "recipient": "b@x.test", "instance": "S1.1",
	} {
		if sent[name] != want {
			t.Errorf("%s is %q, want %q", name, sent[name], want)
		}
	}
	p = newPolicy(t, Config{Checks: []string{"check_policy_service"}, Services: []Service{down}})
	if j, err = p.Begin(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Recipient(t.Context(), address(t, "a@x.test").Address); mail.StatusOf(err).Code != 451 {
		t.Errorf("a service that is down: %v", err)
	}
	no := &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "No"}
	p = newPolicy(t, Config{Checks: []string{"check_policy_service"}, Services: []Service{down}, WithoutService: func(err error) error { return no.WithCause(err) }})
	if j, err = p.Begin(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Recipient(t.Context(), address(t, "a@x.test").Address); mail.StatusOf(err).Code != 550 {
		t.Errorf("a service that must not be down: %v", err)
	}
	if err := errors.Join(p.Close(), (*Policy)(nil).Close()); err != nil {
		t.Error(err)
	}
}
