package spf

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/mail"
)

// zone is a Resolver over literals: "TXT name" and so on; "fault" is a fault,
// "silence" never answers.
type zone map[string]string

func (z zone) get(ctx context.Context, kind, name string) (string, error) {
	v, there := z[kind+" "+strings.ToLower(strings.TrimSuffix(name, "."))]
	switch {
	case !there:
		return "", &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case v == "fault":
		return "", &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	case v == "silence":
		<-ctx.Done()
		return "", ctx.Err()
	}
	return v, nil
}

func (z zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	v, err := z.get(ctx, "TXT", name)
	if err != nil {
		return nil, err
	}
	return strings.Split(v, "\n"), nil
}

func (z zone) LookupMX(ctx context.Context, name string) (all []*net.MX, err error) {
	v, err := z.get(ctx, "MX", name)
	for host := range strings.FieldsSeq(v) {
		all = append(all, &net.MX{Host: host})
	}
	return all, err
}

func (z zone) LookupNetIP(ctx context.Context, network, name string) (all []netip.Addr, err error) {
	v, err := z.get(ctx, "A", name)
	for text := range strings.FieldsSeq(v) {
		if a := netip.MustParseAddr(text); a.Is4() == (network == "ip4") {
			all = append(all, a)
		}
	}
	return all, err
}

func (z zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	v, err := z.get(ctx, "PTR", addr)
	return strings.Fields(v), err
}

func TestCheck(t *testing.T) {
	t.Parallel()
	z := zone{
		"TXT example.org":          "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 mx a:out.example.org include:partner.test ~all",
		"MX example.org":           "mx.example.org",
		"A mx.example.org":         "192.0.2.100",
		"A out.example.org":        "192.0.2.101 2001:db9::1",
		"TXT partner.test":         "v=spf1 ip4:198.51.100.7 -all",
		"TXT strict.test":          "v=spf1 -all",
		"TXT neutral.test":         "v=spf1 ?all",
		"TXT redirect.test":        "v=spf1 redirect=strict.test",
		"TXT loop.test":            "v=spf1 include:loop.test -all",
		"TXT two.test":             "v=spf1 +all\nv=spf1 -all",
		"TXT bad.test":             "v=spf1 ip4:999.0.0.1 -all",
		"TXT macro.test":           "v=spf1 exists:%{l}.%{d}._spf.test -all",
		"A a.macro.test._spf.test": "127.0.0.2",
		"TXT down.test":            "fault",
		"TXT other.test":           "some text",
		"TXT voids.test":           "v=spf1 a:v1.test a:v2.test a:v3.test a:v4.test -all",
		"TXT all.test":             "v=spf1 +all",
		"TXT helo.test":            "v=spf1 ip4:192.0.2.9 -all",
	}
	for _, tt := range []struct {
		rule, client, helo, from string
		want                     Result
		identity, domain         string
	}{
		{"ip4", "192.0.2.1", "x", "a@example.org", Pass, "mailfrom", "example.org"},
		{"ip4 in IPv6", "::ffff:192.0.2.1", "x", "a@example.org", Pass, "mailfrom", "example.org"},
		{"ip6", "2001:db8::7", "x", "a@example.org", Pass, "mailfrom", "example.org"},
		{"mx", "192.0.2.100", "x", "a@example.org", Pass, "mailfrom", "example.org"},
		{"a", "2001:db9::1", "x", "a@Example.ORG", Pass, "mailfrom", "example.org"},
		{"include", "198.51.100.7", "x", "a@example.org", Pass, "mailfrom", "example.org"},
		{"all", "198.51.100.8", "x", "a@example.org", SoftFail, "mailfrom", "example.org"},
		{"fail", "192.0.2.1", "x", "a@strict.test", Fail, "mailfrom", "strict.test"},
		{"neutral", "192.0.2.1", "x", "a@neutral.test", Neutral, "mailfrom", "neutral.test"},
		{"redirect", "192.0.2.1", "x", "a@redirect.test", Fail, "mailfrom", "redirect.test"},
		{"a loop", "192.0.2.1", "x", "a@loop.test", PermError, "mailfrom", "loop.test"},
		{"two records", "192.0.2.1", "x", "a@two.test", PermError, "mailfrom", "two.test"},
		{"a malformed record", "192.0.2.1", "x", "a@bad.test", PermError, "mailfrom", "bad.test"},
		{"a macro", "192.0.2.1", "x", "a@macro.test", Pass, "mailfrom", "macro.test"},
		{"a macro that does not match", "192.0.2.1", "x", "b@macro.test", Fail, "mailfrom", "macro.test"},
		{"too many look-ups in vain", "192.0.2.1", "x", "a@voids.test", PermError, "mailfrom", "voids.test"},
		{"no record", "192.0.2.1", "x", "a@unknown.test", None, "mailfrom", "unknown.test"},
		{"another record", "192.0.2.1", "x", "a@other.test", None, "mailfrom", "other.test"},
		{"the DNS fails", "192.0.2.1", "x", "a@down.test", TempError, "mailfrom", "down.test"},
		{"null reverse-path: HELO", "192.0.2.9", "helo.test", "", Pass, "helo", "helo.test"},
		{"null reverse-path: HELO of another", "192.0.2.8", "helo.test", "", Fail, "helo", "helo.test"},
		{"null reverse-path and no domain", "192.0.2.8", "[192.0.2.8]", "", None, "helo", "[192.0.2.8]"},
		{"an @ in the local part chooses no domain", "192.0.2.1", "x", `"a@all.test"@strict.test`, Fail, "mailfrom", "strict.test"},
		{"a unix socket", "", "x", "a@strict.test", None, "mailfrom", "strict.test"},
	} {
		var client netip.Addr
		if tt.client != "" {
			client = netip.MustParseAddr(tt.client)
		}
		var from mail.ReversePath
		if tt.from != "" {
			a, err := mail.ParseAddress(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			from.Address = a
		}
		got := Check(t.Context(), z, client, tt.helo, from)
		if got.Result != tt.want || got.Identity != tt.identity || got.Domain != tt.domain {
			t.Errorf("%s: %+v, want %s of %s %s", tt.rule, got, tt.want, tt.identity, tt.domain)
		}
	}
}

// TestSilence holds that a DNS that never answers costs 20 seconds and is no
// verdict.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		from := mail.ReversePath{Address: mail.Address{Local: "a", Domain: "example.org"}}
		got := Check(t.Context(), zone{"TXT example.org": "silence"}, netip.MustParseAddr("192.0.2.1"), "x", from)
		if got.Result != TempError || time.Since(start) != timeout {
			t.Errorf("%+v after %v", got, time.Since(start))
		}
	})
}
