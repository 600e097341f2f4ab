package policy

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/policy/arc"
	"gomaild/policy/authres"
	"gomaild/policy/dkim"
	"gomaild/policy/greylist"
)

var zone = dnstest.Zone{
	Records: map[string][]string{
		"7.2.0.192.in-addr.arpa": {"PTR mail.example.org."},
		"8.2.0.192.in-addr.arpa": {"PTR liar.example.org."},
		"mail.example.org":       {"A 192.0.2.7"},
		"liar.example.org":       {"A 192.0.2.1"},
		"example.org":            {"MX 10 mail.example.org.", `TXT "v=spf1 ip4:192.0.2.7 -all"`},
		"_dmarc.example.org":     {`TXT "v=DMARC1; p=reject"`},
		"_dmarc.soft.test":       {`TXT "v=DMARC1; p=quarantine"`},
		"soft.test":              {"A 192.0.2.9"},
		"onlya.test":             {"A 192.0.2.9"},
		"nullmx.test":            {"MX 0 ."},
		"7.2.0.192.bl.test":      {"A 127.0.0.2"},
		"9.2.0.192.bl.test":      {"A 127.0.0.4"},
		"7.2.0.192.second.test":  {"A 127.0.0.10"},
		"7.2.0.192.wl.test":      {"A 127.0.0.1"},
		"7.2.0.192.gone.test":    {"A 203.0.113.5"},
		strings.Repeat("0.", 24) + "8.b.d.0.1.0.0.2.bl.test": {"A 127.0.0.2"},
	},
	Fail: []string{"down.test", "9.9.0.192.in-addr.arpa", "7.2.0.192.silent.test", "_dmarc.down.test"},
}

func address(t *testing.T, s string) (p mail.ReversePath) {
	t.Helper()
	if s == "" {
		return p
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	p.Address = a
	return p
}

func newPolicy(t *testing.T, c Config) *Policy {
	t.Helper()
	c.Hostname, c.Resolver = "mx.example.net", dns.Net{Resolver: zone}
	c.Sample = func() int { return 0 }
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestChecks holds each check of MAIL alone: what it refuses, with which code,
// and what the DNS not answering makes of it.
func TestChecks(t *testing.T) {
	t.Parallel()
	lists := []List{{Domain: "bl.test"}, {Domain: "second.test", Weight: 2}}
	for _, tt := range []struct {
		check, rule        string
		client, helo, from string
		lists              []List
		threshold          int
		want               int // 0: not refused
	}{
		{"reject_unknown_reverse_client_hostname", "a name", "192.0.2.8", "", "", nil, 0, 0},
		{"reject_unknown_reverse_client_hostname", "none", "192.0.2.1", "", "", nil, 0, 450},
		{"reject_unknown_reverse_client_hostname", "no answer", "192.0.9.9", "", "", nil, 0, 450},
		{"reject_unknown_reverse_client_hostname", "a unix socket", "", "", "", nil, 0, 0},
		{"reject_unknown_client_hostname", "there and back", "192.0.2.7", "", "", nil, 0, 0},
		{"reject_unknown_client_hostname", "not back", "192.0.2.8", "", "", nil, 0, 450},
		{"reject_invalid_helo_hostname", "a name", "", "a.test", "", nil, 0, 0},
		{"reject_invalid_helo_hostname", "no name", "", "a..test", "", nil, 0, 501},
		{"reject_non_fqdn_helo_hostname", "one label", "", "localhost", "", nil, 0, 504},
		{"reject_non_fqdn_helo_hostname", "a literal", "", "[192.0.2.7]", "", nil, 0, 0},
		{"reject_unknown_helo_hostname", "an address", "", "onlya.test", "", nil, 0, 0},
		{"reject_unknown_helo_hostname", "nothing", "", "unknown.test", "", nil, 0, 450},
		{"reject_non_fqdn_sender", "null", "", "", "", nil, 0, 0},
		{"reject_non_fqdn_sender", "one label", "", "", "a@localhost", nil, 0, 504},
		{"reject_unknown_sender_domain", "null", "", "", "", nil, 0, 0},
		{"reject_unknown_sender_domain", "MX", "", "", "a@example.org", nil, 0, 0},
		{"reject_unknown_sender_domain", "only an address", "", "", "a@onlya.test", nil, 0, 0},
		{"reject_unknown_sender_domain", "nothing", "", "", "a@unknown.test", nil, 0, 550},
		{"reject_unknown_sender_domain", "null MX", "", "", "a@nullmx.test", nil, 0, 550},
		{"reject_unknown_sender_domain", "no answer is not for good", "", "", "a@down.test", nil, 0, 450},
		{"reject_unknown_sender_domain", "a literal", "", "", "a@[192.0.2.7]", nil, 0, 0},
		{"reject_rbl_client", "listed", "192.0.2.7", "", "", lists[:1], 0, 554},
		{"reject_rbl_client", "IPv6 listed", "2001:db8::", "", "", lists[:1], 0, 554},
		{"reject_rbl_client", "not listed", "192.0.2.1", "", "", lists, 0, 0},
		{"reject_rbl_client", "weights below", "192.0.2.7", "", "", lists, 4, 0},
		{"reject_rbl_client", "weights that suffice", "192.0.2.7", "", "", lists, 3, 554},
		{"reject_rbl_client", "a list of the good", "192.0.2.7", "", "", []List{{Domain: "bl.test"}, {Domain: "wl.test", Weight: -5}}, 0, 0},
		{"reject_rbl_client", "another answer", "192.0.2.9", "", "", []List{{Domain: "bl.test", Answers: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}}, 0, 0},
		{"reject_rbl_client", "a list that is gone", "192.0.2.7", "", "", []List{{Domain: "gone.test"}}, 0, 0},
		{"reject_rbl_client", "a list that does not answer", "192.0.2.7", "", "", []List{{Domain: "silent.test"}}, 0, 0},
		{"reject_spf_fail", "pass", "192.0.2.7", "", "a@example.org", nil, 0, 0},
		{"reject_spf_fail", "fail", "192.0.2.8", "", "a@example.org", nil, 0, 550},
		{"reject_spf_fail", "none", "192.0.2.8", "", "a@onlya.test", nil, 0, 0},
		{"reject_spf_fail", "no answer", "192.0.2.8", "", "a@down.test", nil, 0, 0},
		{"spf", "fail refuses nothing", "192.0.2.8", "", "a@example.org", nil, 0, 0},
	} {
		p := newPolicy(t, Config{Checks: []string{tt.check}, DNSBL: tt.lists, DNSBLThreshold: tt.threshold})
		q := Query{Helo: tt.helo, From: address(t, tt.from)}
		if tt.client != "" {
			q.Client = netip.MustParseAddr(tt.client)
		}
		_, err := p.Begin(t.Context(), q)
		got := 0
		if err != nil {
			got = mail.StatusOf(err).Code
		}
		if got != tt.want {
			t.Errorf("%s, %s: %v, want %d", tt.check, tt.rule, err, tt.want)
		}
	}
}

func TestOrderAndNames(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, Config{Checks: []string{"reject_non_fqdn_sender", "reject_unknown_sender_domain"}})
	_, err := p.Begin(t.Context(), Query{From: address(t, "a@nowhere")})
	if mail.StatusOf(err).Code != 504 {
		t.Errorf("the first check does not come first: %v", err)
	}
	if _, err := New(Config{Checks: []string{"reject_everything"}}); err == nil || !strings.Contains(err.Error(), "reject_everything") {
		t.Errorf("an unknown check: %v", err)
	}
	p = newPolicy(t, Config{Checks: []string{"reject_non_fqdn_recipient"}})
	j, err := p.Begin(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]bool{"a@example.org": true, "a@localhost": false} {
		if err := j.Recipient(t.Context(), address(t, to).Address); (err == nil) != want {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestGreylist holds that a stranger is put off for a time and then let in.
func TestGreylist(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	list, err := greylist.Open(greylist.Config{FS: crashfs.New(), Name: "greylist", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	p := newPolicy(t, Config{Checks: []string{"greylist"}, Greylist: list, GreylistDelay: time.Minute})
	try := func(client string) error {
		q := Query{From: address(t, "a@example.org")}
		if client != "" {
			q.Client = netip.MustParseAddr(client)
		}
		j, err := p.Begin(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return j.Recipient(t.Context(), address(t, "bob@example.net").Address)
	}
	const want = "450 4.7.1 <bob@example.net>: Recipient address rejected: Greylisted, come again in 60 seconds"
	if err := try("192.0.2.1"); text(err) != want {
		t.Errorf("a stranger: %v", err)
	}
	if err := try(""); err != nil {
		t.Errorf("a unix socket: %v", err)
	}
	now = now.Add(time.Minute)
	if err := try("192.0.2.1"); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

// TestContent holds the field that is written, what is junk and what is refused.
func TestContent(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signedZone := dnstest.Zone{Records: map[string][]string{"sel._domainkey.example.org": {`TXT "` + record + `"`}}, Fail: zone.Fail}
	for name, records := range zone.Records {
		signedZone.Records[name] = records
	}
	sign := func(text string) string {
		field, err := (&dkim.Signer{Domain: "example.org", Selector: "sel", Key: key}).Sign(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(field) + text
	}
	from := func(domain string) string { return "From: a@" + domain + "\r\nSubject: x\r\n\r\nbody\r\n" }
	all := []string{"spf", "dkim", "dmarc"}
	for _, tt := range []struct {
		rule       string
		checks     []string
		client     string
		sender     string
		text       string
		want       int      // code of the refusal, 0 for none
		fields     []string // what the field says
		junk       bool
		fieldIsNil bool
	}{
		{"nothing is checked", nil, "192.0.2.7", "a@example.org", from("example.org"), 0, nil, false, true},
		{"SPF passes", all, "192.0.2.7", "a@example.org", from("example.org"), 0,
			[]string{"mx.example.net;", "spf=pass", "smtp.mailfrom=a@example.org", "dkim=none", "dmarc=pass", "header.from=example.org", "policy.dmarc=reject"}, false, false},
		{"DKIM passes from elsewhere", all, "192.0.2.1", "", sign(from("example.org")), 0,
			[]string{"spf=none", "dkim=pass", "header.d=example.org", "header.s=sel", "header.a=ed25519-sha256", "dmarc=pass"}, false, false},
		{"DKIM is broken", all, "192.0.2.1", "b@onlya.test", sign(from("example.org")) + "more\r\n", 0,
			[]string{"dkim=fail", "dmarc=fail"}, true, false},
		{"refused for it", []string{"reject_dmarc"}, "192.0.2.1", "b@onlya.test", from("example.org"), 550, nil, false, true},
		{"quarantine", []string{"reject_dmarc"}, "192.0.2.1", "b@onlya.test", from("soft.test"), 0, []string{"dmarc=fail", "policy.dmarc=quarantine"}, true, false},
		{"no record", []string{"reject_dmarc"}, "192.0.2.1", "b@onlya.test", from("onlya.test"), 0, []string{"dmarc=none"}, false, false},
		{"the DNS does not answer", []string{"reject_dmarc"}, "192.0.2.1", "b@onlya.test", from("down.test"), 0, []string{"dmarc=temperror"}, false, false},
		{"two authors", []string{"reject_dmarc"}, "192.0.2.1", "b@onlya.test", "From: a@example.org, b@onlya.test\r\n\r\n", 550, nil, false, true},
		{"no chain", []string{"arc"}, "192.0.2.1", "b@onlya.test", from("down.test"), 0, []string{"arc=none"}, false, false},
		{"a broken chain is noted", []string{"arc"}, "192.0.2.1", "b@onlya.test", "ARC-Seal: i=1; cv=none\r\n" + from("down.test"), 0,
			[]string{`arc=fail reason="set 1 is not whole"`}, false, false},
		{"two authors, noted", []string{"dmarc"}, "192.0.2.1", "b@onlya.test", "From: a@example.org, b@onlya.test\r\n\r\n", 0, []string{"dmarc=permerror"}, false, false},
	} {
		p := newPolicy(t, Config{Checks: tt.checks})
		p.cfg.Resolver = dns.Net{Resolver: signedZone}
		j, err := p.Begin(t.Context(), Query{Client: netip.MustParseAddr(tt.client), Helo: "x", From: address(t, tt.sender)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := j.Content(t.Context(), strings.NewReader(tt.text))
		if got := codeOf(err); got != tt.want {
			t.Errorf("%s: %v, want %d", tt.rule, err, tt.want)
		}
		if err == nil && (v.Junk != tt.junk || (v.Field == nil) != tt.fieldIsNil) {
			t.Errorf("%s: %+v", tt.rule, v)
		}
		for _, want := range tt.fields {
			if !bytes.Contains(v.Field, []byte(want)) {
				t.Errorf("%s: no %s in %s", tt.rule, want, v.Field)
			}
		}
	}
}

// TestTrustedChain holds when a forwarder is believed that a message passed DMARC
// before it was changed.
func TestTrustedChain(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys := dnstest.Zone{Records: map[string][]string{}, Fail: zone.Fail}
	for name, records := range zone.Records {
		keys.Records[name] = records
	}
	for _, d := range []string{"list.test", "odd.test", "late.test"} {
		keys.Records["sel._domainkey."+d] = []string{`TXT "` + record + `"`}
	}
	seal := func(domain, from, dmarc, text string) string {
		verifier := arc.Verifier{Resolver: dns.Net{Resolver: keys}}
		found, err := verifier.Verify(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		results := authres.Format(domain, []authres.Method{{Name: "dmarc", Result: dmarc, Properties: []authres.Property{{Name: "header.from", Value: from}}}})
		s := arc.Sealer{Signer: dkim.Signer{Domain: domain, Selector: "sel", Key: key}}
		fields, err := s.Seal(strings.NewReader(text), found, results)
		if err != nil {
			t.Fatal(err)
		}
		return string(fields) + text
	}
	text := "From: a@example.org\r\nSubject: [list] x\r\n\r\nbody\r\n"
	passed := seal("list.test", "example.org", "pass", text)
	keys.Fail = append(slices.Clone(keys.Fail), "sel._domainkey.late.test")
	for _, tt := range []struct {
		rule, text string
		trusted    []string
		believed   bool
	}{
		{"a trusted forwarder saw it pass", passed, []string{"LIST.test"}, true},
		{"nobody is trusted", passed, nil, false},
		{"another is trusted", passed, []string{"odd.test"}, false},
		{"it saw it fail", seal("list.test", "example.org", "fail", text), []string{"list.test"}, false},
		{"it saw another author", seal("list.test", "soft.test", "pass", text), []string{"list.test"}, false},
		{"changed since", strings.Replace(passed, "body", "bodies", 1), []string{"list.test"}, false},
		{"sealed again by one who is trusted", seal("odd.test", "example.org", "fail", passed), []string{"list.test", "odd.test"}, true},
		{"sealed again by one who is not", seal("odd.test", "example.org", "fail", passed), []string{"list.test"}, false},
		{"no chain", text, []string{"list.test"}, false},
		{"no key now", strings.ReplaceAll(passed, "d=list.test", "d=late.test"), []string{"late.test"}, false},
	} {
		p := newPolicy(t, Config{Checks: []string{"arc", "reject_dmarc"}, ARCTrusted: tt.trusted})
		p.cfg.Resolver = dns.Net{Resolver: keys}
		j, err := p.Begin(t.Context(), Query{Client: netip.MustParseAddr("192.0.2.1"), Helo: "x", From: address(t, "b@onlya.test")})
		if err != nil {
			t.Fatal(err)
		}
		v, err := j.Content(t.Context(), strings.NewReader(tt.text))
		if (err == nil) != tt.believed || v.Junk {
			t.Errorf("%s: %+v, %v", tt.rule, v, err)
		}
		if tt.believed && !bytes.Contains(v.Field, []byte(`dmarc=fail reason="passed at list.test, which is trusted (ARC)"`)) {
			t.Errorf("%s: %s", tt.rule, v.Field)
		}
	}
}

func codeOf(err error) int {
	if err == nil {
		return 0
	}
	return mail.StatusOf(err).Code
}
