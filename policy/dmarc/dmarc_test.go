package dmarc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// zone is a Resolver over a literal; lines are records, "fault" is a fault.
type zone map[string]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	text, there := z[name]
	switch {
	case !there:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case text == "fault":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return strings.Split(text, "\n"), nil
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	z := zone{
		"_dmarc.example.org":        "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.org",
		"_dmarc.strict.example.org": "v=DMARC1;p=REJECT;ADKIM=S;aspf=s",
		"_dmarc.half.test":          "v=DMARC1; p=reject; pct=50",
		"_dmarc.odd.test":           "v=DMARC1; p=reject; pct=lots; unknown; x=y;;",
		"_dmarc.testing.test":       "v=DMARC1; p=quarantine; t=y",
		"_dmarc.two.test":           "v=DMARC1; p=reject\nv=DMARC1; p=none",
		"_dmarc.other.test":         "v=spf1 -all\nv=DMARC1; p=reject",
		"_dmarc.lax.test":           "v=DMARC1; rua=mailto:a@lax.test",
		"_dmarc.nothing.test":       "v=DMARC1; adkim=s",
		"_dmarc.down.test":          "fault",
		"_dmarc.co.uk":              "v=DMARC1; p=reject",
	}
	for _, tt := range []struct {
		rule   string
		facts  Facts
		sample int
		result Result
		action Action
	}{
		{"DKIM of the domain", Facts{From: "example.org", DKIM: []string{"other.test", "example.org"}}, 0, Pass, Deliver},
		{"SPF of the domain", Facts{From: "example.org", SPF: "example.org"}, 0, Pass, Deliver},
		{"relaxed: a subdomain", Facts{From: "example.org", DKIM: []string{"mail.example.org"}}, 0, Pass, Deliver},
		{"relaxed: a sister", Facts{From: "a.example.org", SPF: "b.example.org"}, 0, Pass, Deliver},
		{"nothing passed", Facts{From: "example.org"}, 0, Fail, Reject},
		{"others passed", Facts{From: "Example.ORG", SPF: "evil.test", DKIM: []string{"evil.test"}}, 0, Fail, Reject},
		{"a subdomain's policy", Facts{From: "a.b.example.org"}, 0, Fail, Quarantine},
		{"strict: a subdomain", Facts{From: "strict.example.org", DKIM: []string{"a.strict.example.org"}, SPF: "example.org"}, 0, Fail, Reject},
		{"strict: itself", Facts{From: "strict.example.org", SPF: "strict.example.org"}, 0, Pass, Deliver},
		{"a neighbour under a public suffix is another", Facts{From: "a.co.uk", SPF: "b.co.uk"}, 0, None, Deliver},
		{"pct, within", Facts{From: "half.test"}, 49, Fail, Reject},
		{"pct, beyond: one step milder", Facts{From: "half.test"}, 50, Fail, Quarantine},
		{"bad tags are passed over", Facts{From: "odd.test"}, 99, Fail, Reject},
		{"testing: one step milder", Facts{From: "testing.test"}, 0, Fail, Deliver},
		{"two records are none", Facts{From: "two.test"}, 0, None, Deliver},
		{"another record beside it", Facts{From: "other.test"}, 0, Fail, Reject},
		{"no policy, somebody to report to", Facts{From: "lax.test"}, 0, Fail, Deliver},
		{"no policy at all", Facts{From: "nothing.test"}, 0, PermError, Deliver},
		{"no record", Facts{From: "unknown.test"}, 0, None, Deliver},
		{"the DNS does not answer", Facts{From: "down.test"}, 0, TempError, Deliver},
		{"SPF could not be asked", Facts{From: "example.org", SPFTemp: true}, 0, TempError, Deliver},
		{"a key could not be asked for", Facts{From: "example.org", DKIMTemp: true}, 0, TempError, Deliver},
		{"and SPF passed", Facts{From: "example.org", DKIMTemp: true, SPF: "example.org"}, 0, Pass, Deliver},
		{"no domain", Facts{From: ""}, 0, None, Deliver},
		{"an address literal", Facts{From: "[192.0.2.1]"}, 0, None, Deliver},
	} {
		got := Evaluate(t.Context(), z, tt.facts, tt.sample)
		if got.Result != tt.result || got.Action != tt.action {
			t.Errorf("%s: %+v, want %s %s", tt.rule, got, tt.result, tt.action)
		}
	}
}

func TestAuthorDomain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"From: a@Example.org\r\n\r\n":                             "example.org",
		"from: \"a@evil.test\" <b@example.org>\r\n\r\n":           "example.org",
		"From: a@example.org, b@example.org\r\n\r\n":              "example.org",
		"From: a@example.org,\r\n b@evil.test\r\n\r\n":            "",
		"From: a@example.org\r\nFrom: b@example.org\r\n\r\n":      "",
		"From: nobody\r\n\r\n":                                    "",
		"From:\r\n\r\n":                                           "",
		"To: a@example.org\r\n\r\n":                               "",
		"To: x\r\n\r\nFrom: a@example.org\r\n":                    "",
		"From: Group: a@example.org, b@example.org;\r\n\r\nbody":  "example.org",
		"From: =?utf-8?q?a=40evil.test?= <b@example.org>\r\n\r\n": "example.org",
	} {
		got, err := AuthorDomain(strings.NewReader(text))
		if got != want || (want == "") != errors.Is(err, ErrFrom) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestHostile: whatever a domain publishes, one message costs two questions and
// little work, and nothing that can be read makes a policy of what is none.
func TestHostile(t *testing.T) {
	t.Parallel()
	const record = "v=DMARC1; p=reject"
	long := record + "; rua=" + strings.Repeat("mailto:a@b.test,", 400)
	for _, tt := range []struct {
		rule    string
		records string // of the organizational domain, a line each
		want    Result
	}{
		{"a thousand records", strings.Repeat(record+"\n", 1000), None},
		{"one among thousands of other texts", strings.Repeat("google-site-verification=x\n", 5000) + record, Fail},
		{"thousands of texts that are nearly one", strings.Repeat("v=DMARC2; p=none\n", 5000) + record, Fail},
		{"as long as is read", long[:maxRecord], Fail},
		{"longer", long[:maxRecord+1], None},
		{"64 KB of tags", record + strings.Repeat(";", 64<<10), None},
		{"a thousand tags", record + strings.Repeat("; x=1", 800), Fail},
		{"p= a thousand times", "v=DMARC1" + strings.Repeat(";p=none", 500) + ";p=reject", Fail},
		{"empty texts", strings.Repeat("\n", 5000), None},
		{"numbers out of all bounds", record + "; pct=99999999999999999999999; ri=-1; pct=-5", Fail},
	} {
		asked := 0
		z := zone{"_dmarc.example.org": tt.records}
		r := counting{z, &asked}
		deep := strings.Repeat("a.", 100) + "example.org"
		var e Evaluation
		took := peertest.ThreadTime(t, func() { e = Evaluate(t.Context(), r, Facts{From: deep, SPF: "far.test", DKIM: []string{"x.test"}}, 0) })
		if e.Result != tt.want || e.Result == Fail && e.Action != Reject || asked > 2 {
			t.Errorf("%s: %s, %s after %d questions, want %s", tt.rule, e.Result, e.Action, asked, tt.want)
		}
		if took > 2*time.Second {
			t.Errorf("%s took %v", tt.rule, took)
		}
	}
	for _, name := range []string{strings.Repeat("a.", 200) + "example.org", strings.Repeat("a", 70_000), "[192.0.2.1]", ""} {
		asked := 0
		if e := Evaluate(t.Context(), counting{zone{}, &asked}, Facts{From: name}, 0); e.Result != None || asked > 1 {
			t.Errorf("%.20q: %s after %d questions", name, e.Result, asked)
		}
	}
}

// counting counts the questions that reach a zone.
type counting struct {
	zone
	asked *int
}

func (c counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	*c.asked++
	return c.zone.LookupTXT(ctx, name)
}

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none; rua=mailto:a@b.test!10m,mailto:x; pct=7; ri=1", "v=DMARC1;p=reject;sp=quarantine;np=none;t=y;fo=1:d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err == nil && (r.Policy == "" || r.Percent < 0 || r.Percent > 100 || r.ReportPeriod <= 0) {
			t.Errorf("%q: %+v", s, r)
		}
	})
}
