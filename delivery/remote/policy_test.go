package remote_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"gomaild/delivery/remote"
	"gomaild/mail"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("AB:", 31) + "AB"
	for value, want := range map[string]remote.Policy{
		"none":                             {Level: remote.None},
		"may":                              {},
		"encrypt protocols=>=TLSv1.3":      {Level: remote.Encrypt, MinVersion: tls.VersionTLS13},
		"encrypt protocols=!SSLv2:!SSLv3":  {Level: remote.Encrypt},
		"dane":                             {Level: remote.DANE},
		"dane-only ciphers=high":           {Level: remote.DANEOnly},
		"verify match=hostname":            {Level: remote.Verify, Match: []string{"hostname"}},
		"secure match=Mx.test:.below.test": {Level: remote.Secure, Match: []string{"mx.test", ".below.test"}},
		"secure  match=nexthop\tmatch=dot-nexthop": {Level: remote.Secure, Match: []string{"nexthop", "dot-nexthop"}},
		"fingerprint match=" + digest:              {Level: remote.Fingerprint, Match: []string{strings.Repeat("ab", 32)}},
	} {
		got, err := remote.ParsePolicy(value)
		if err != nil || got.Level != want.Level || !slices.Equal(got.Match, want.Match) || got.MinVersion != want.MinVersion {
			t.Errorf("%q: %+v, %v; want %+v", value, got, err, want)
		}
	}
	for _, bad := range []string{"", "maybe", "verify match", "verify match=a b=c", "verify match=a..b", "fingerprint", "fingerprint match=AB:CD", "may protocols=TLSv9", "secure tafile=/x"} {
		if got, err := remote.ParsePolicy(bad); !errors.Is(err, remote.ErrPolicy) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
	for hop, want := range map[mail.NextHop]string{
		{Host: "a.b.test"}:             "a.b.test .b.test .test",
		{Host: "a.b.test", NoMX: true}: "[a.b.test]",
		{Host: "a.test", Port: 587}:    "a.test:587",
	} {
		if got := strings.Join(remote.PolicyKeys(hop), " "); got != want {
			t.Errorf("%v: %s", hop, got)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("secure match=nexthop:.x.test protocols=!TLSv1.2")
	f.Fuzz(func(t *testing.T, value string) {
		if p, err := remote.ParsePolicy(value); err == nil && (p.Level < remote.None || p.Level > remote.Secure) {
			t.Errorf("%q: %+v", value, p)
		}
	})
}

// TestFingerprint: a certificate is known by its digest or its key's.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	server := newAuthority(t).server(t, true, "else.test")
	leaf := server.Certificates[0].Leaf
	cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for value, want := range map[string]string{
		hex.EncodeToString(cert[:]):                                 "ok mx1.y.test",
		strings.Repeat("00", 32) + "|" + hex.EncodeToString(key[:]): "ok mx1.y.test",
		strings.Repeat("00", 32):                                    "4.7.5",
	} {
		w := newWorld()
		delete(w.sinks, "192.0.2.2")
		s := w.sinks["192.0.2.1"]
		s.TLS, s.Extensions = server, []string{"STARTTLS"}
		a := w.agent(t, func(c *remote.Config) {
			c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.ParsePolicy("fingerprint match=" + value) }
		})
		if got := outcomes(a.Deliver(t.Context(), job("y.test", "b")))[0]; got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
	w := newWorld()
	a := w.agent(t, func(c *remote.Config) {
		c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.ParsePolicy("what") }
	})
	if got := outcomes(a.Deliver(t.Context(), job("y.test", "b")))[0]; got != "4.3.5" {
		t.Errorf("a policy that cannot be read: %s", got)
	}
}

// TestReports: what domains are told of TLS with their hosts.
func TestReports(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good := ca.server(t, false, "mx1.y.test")
	for _, tt := range []struct {
		rule   string
		server *tls.Config
		level  remote.Level
		sts    remote.STS
		want   string // of mx1
	}{
		{"TLS", good, remote.May, remote.STS{}, "no-policy-found "},
		{"no TLS, which may lets pass", nil, remote.May, remote.STS{}, "no-policy-found starttls-not-supported"},
		{"no TLS", nil, remote.Encrypt, remote.STS{}, "no-policy-found starttls-not-supported"},
		{"expired", ca.server(t, true, "mx1.y.test"), remote.Verify, remote.STS{}, "no-policy-found certificate-expired"},
		{"an unknown authority", newAuthority(t).server(t, false, "mx1.y.test"), remote.Verify, remote.STS{}, "no-policy-found certificate-not-trusted"},
		{"another name", ca.server(t, false, "else.test"), remote.Verify, remote.STS{}, "no-policy-found certificate-host-mismatch"},
		{"MTA-STS", good, remote.May, remote.STS{Allows: allow("mx1.y.test")}, "sts "},
		{"MTA-STS, another host", good, remote.May, remote.STS{Allows: allow("mx9.y.test")}, "sts validation-failure"},
		{"MTA-STS in testing", ca.server(t, false, "else.test"), remote.May, remote.STS{Allows: allow("mx1.y.test"), Testing: true}, "sts certificate-host-mismatch"},
		{"MTA-STS in testing, no TLS", nil, remote.May, remote.STS{Allows: allow("mx1.y.test"), Testing: true}, "sts starttls-not-supported"},
		{"none", good, remote.None, remote.STS{}, ""},
		{"an MTA-STS policy that could not be had", good, remote.May, remote.STS{Failure: "sts-policy-fetch-error"}, "sts sts-policy-fetch-error, no-policy-found "},
		{"TLSA records that could not be asked for", good, remote.DANE, remote.STS{}, "tlsa dnssec-invalid"},
		{"no TLSA records, and there must be", good, remote.DANEOnly, remote.STS{}, "tlsa dane-required"},
	} {
		w := newWorld()
		delete(w.sinks, "192.0.2.2")
		s := w.sinks["192.0.2.1"]
		if s.TLS = tt.server; tt.server != nil {
			s.Extensions = []string{"STARTTLS"}
		}
		if w.zone.Authentic = tt.level >= remote.DANE && tt.level < remote.Fingerprint; tt.level == remote.DANE {
			w.zone.Fail = []string{"_25._tcp.mx1.y.test"}
		}
		var mu sync.Mutex
		var heard []string
		a := w.agent(t, func(c *remote.Config) {
			c.Roots = ca.pool()
			c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: tt.level}, nil }
			c.STS = func(context.Context, string) remote.STS { return tt.sts }
			c.Report = func(r remote.TLSResult) {
				mu.Lock()
				defer mu.Unlock()
				if r.Host != "mx2.y.test" {
					heard = append(heard, r.Policy+" "+r.Failure)
				}
			}
		})
		results := a.Deliver(t.Context(), job("y.test", "b"))
		if got := strings.Join(heard, ", "); got != tt.want {
			t.Errorf("%s: reported %q, want %q", tt.rule, got, tt.want)
		}
		if tt.sts.Testing && results[0].Err != nil {
			t.Errorf("%s: %v, though it only tests", tt.rule, results[0].Err)
		}
	}
}
