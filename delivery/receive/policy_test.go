package receive

import (
	"slices"
	"strings"
	"testing"

	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/policy"
)

// TestPolicy holds what a stranger's message goes through: refused at MAIL or
// after the content, marked, put into the junk folder; and that nobody else is
// judged.
func TestPolicy(t *testing.T) {
	t.Parallel()
	b := newBench()
	var err error
	b.config.Policy, err = policy.New(policy.Config{
		Hostname: "mx.example.org", Checks: []string{"reject_non_fqdn_sender", "spf", "reject_dmarc"},
		Resolver: dns.Net{Resolver: dnstest.Zone{Records: map[string][]string{
			"good.test":        {`TXT "v=spf1 ip4:192.0.2.7 -all"`},
			"_dmarc.good.test": {`TXT "v=DMARC1; p=reject"`},
			"_dmarc.soft.test": {`TXT "v=DMARC1; p=quarantine"`},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.config.JunkFolder = "Junk"
	mx := NewMX(b.config)
	to := []string{"bob@example.org"}
	const forged = "Authentication-Results: mx.example.org;\r\n\tdkim=pass header.d=bank.test\r\nAuthentication-Results: other.test; spf=pass\r\n"
	for _, tt := range []struct {
		rule, from, content string
		want                []string // replies
		has, hasNot         []string // in what is stored
	}{
		{"refused at MAIL", "a@localhost", "", []string{"504 5.5.2 Sender address rejected: need fully-qualified address"}, nil, nil},
		{"refused for its content", "a@other.test", "From: a@good.test\r\n\r\nx\r\n",
			[]string{"250", "250", "550 5.7.1 Email rejected per DMARC policy of the From domain"}, nil, nil},
		{"passes, what claims to be ours is gone", "a@good.test", forged + "From: a@good.test\r\n\r\nx\r\n", []string{"250", "250", "250"},
			[]string{"spf=pass", "dmarc=pass", "Authentication-Results: other.test; spf=pass"}, []string{"bank.test", "Junk!"}},
		{"into the junk folder", "a@other.test", "From: a@soft.test\r\n\r\nx\r\n", []string{"250", "250", "250"},
			[]string{"Junk!", "dmarc=fail"}, nil},
	} {
		b.got = map[string][]string{}
		got := session(t, mx, client, tt.from, to, tt.content)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.rule, got)
		}
		stored := strings.Join(b.got["bob@example.org"], "")
		for _, s := range tt.has {
			if !strings.Contains(stored, s) {
				t.Errorf("%s: no %s in\n%s", tt.rule, s, stored)
			}
		}
		for _, s := range tt.hasNot {
			if strings.Contains(stored, s) {
				t.Errorf("%s: %s in\n%s", tt.rule, s, stored)
			}
		}
	}
	b.got = map[string][]string{}
	got := session(t, NewSubmission(b.config), loggedIn("alice@example.org", true), "alice@example.org", to, "From: a@good.test\r\n\r\nx\r\n")
	if stored := strings.Join(b.got["bob@example.org"], ""); !slices.Equal(got, []string{"250", "250", "250"}) || strings.Contains(stored, "Authentication-Results") {
		t.Errorf("a user was judged: %q\n%s", got, stored)
	}
	if b.open != 0 {
		t.Errorf("%d contents are open", b.open)
	}
}
