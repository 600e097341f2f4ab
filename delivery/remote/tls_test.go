package remote_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"gomaild/delivery/remote"
	"gomaild/mail"
)

// authority is a certificate authority of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	key := newKey(t)
	return authority{sign(t, c, c, key, key), key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, c, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// server is a TLS configuration for names, its chain with the authority.
func (a authority) server(t *testing.T, expired bool, names ...string) *tls.Config {
	c := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if expired {
		c.NotAfter = time.Now().Add(-time.Minute)
	}
	key := newKey(t)
	leaf := sign(t, c, a.cert, key, a.key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}}}
}

func tlsa(t *testing.T, usage, selector, matching int, c *x509.Certificate) string {
	r := &mdns.TLSA{}
	if err := r.Sign(usage, selector, matching, c); err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(r.String())
	return strings.Join(fields[len(fields)-5:], " ")
}

const (
	tlsYes   = "ok on TLS"
	plainYes = "ok"
)

func TestTLSPolicies(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.server(t, false, "mx1.y.test")
	for _, tt := range []struct {
		rule    string
		policy  remote.Policy
		server  *tls.Config // nil: no STARTTLS
		records []string    // TLSA
		signed  bool
		want    string
	}{
		{"none does not use it", remote.Policy{Level: remote.None}, good, nil, false, plainYes},
		{"may uses it", remote.Policy{}, other.server(t, true, "else.test"), nil, false, tlsYes},
		{"may does without", remote.Policy{}, nil, nil, false, plainYes},
		{"may does without where it fails", remote.Policy{}, &tls.Config{}, nil, false, plainYes},
		{"encrypt takes any certificate", remote.Policy{Level: remote.Encrypt}, other.server(t, true, "else.test"), nil, false, tlsYes},
		{"encrypt never does without", remote.Policy{Level: remote.Encrypt}, nil, nil, false, "4.7.5"},
		{"encrypt does not fall back", remote.Policy{Level: remote.Encrypt}, &tls.Config{}, nil, false, "4.7.5"},
		{"verify: the host's name", remote.Policy{Level: remote.Verify}, good, nil, false, tlsYes},
		{"verify: another name", remote.Policy{Level: remote.Verify}, ca.server(t, false, "else.test"), nil, false, "4.7.5"},
		{"verify: unknown authority", remote.Policy{Level: remote.Verify}, other.server(t, false, "mx1.y.test"), nil, false, "4.7.5"},
		{"verify: expired", remote.Policy{Level: remote.Verify}, ca.server(t, true, "mx1.y.test"), nil, false, "4.7.5"},
		{"secure: a name below the destination's", remote.Policy{Level: remote.Secure}, good, nil, false, tlsYes},
		{"secure: a name that only the MX told", remote.Policy{Level: remote.Secure}, ca.server(t, false, "mx1.else.test"), nil, false, "4.7.5"},
		{"secure: names of the policy", remote.Policy{Level: remote.Secure, Match: []string{"else.test"}}, ca.server(t, false, "else.test"), nil, false, tlsYes},
		{"dane without records is may", remote.Policy{Level: remote.DANE}, nil, nil, true, plainYes},
		{"dane-only without records", remote.Policy{Level: remote.DANEOnly}, good, nil, true, "4.7.5"},
		{"DANE-EE: its key, whatever name and date", remote.Policy{Level: remote.DANE}, ca.server(t, true, "else.test"), []string{"EE"}, true, tlsYes},
		{"DANE-TA: authority and name", remote.Policy{Level: remote.DANE}, good, []string{tlsa(t, 2, 0, 1, ca.cert)}, true, tlsYes},
		{"DANE-TA: another name", remote.Policy{Level: remote.DANE}, ca.server(t, false, "else.test"), []string{tlsa(t, 2, 0, 1, ca.cert)}, true, "4.7.5"},
		{"DANE-TA: another authority", remote.Policy{Level: remote.DANE}, good, []string{tlsa(t, 2, 0, 1, other.cert)}, true, "4.7.5"},
		{"dane: records forbid plaintext", remote.Policy{Level: remote.DANE}, nil, []string{tlsa(t, 2, 0, 1, ca.cert)}, true, "4.7.5"},
		{"dane: unsigned records mean nothing", remote.Policy{Level: remote.DANE}, nil, []string{tlsa(t, 2, 0, 1, ca.cert)}, false, plainYes},
		{"dane: unusable records make TLS mandatory", remote.Policy{Level: remote.DANE}, nil, []string{"TLSA 1 0 1 00"}, true, "4.7.5"},
		{"dane: unusable records, unverified", remote.Policy{Level: remote.DANE}, good, []string{"TLSA 9 9 9 00"}, true, tlsYes},
	} {
		w := newWorld()
		delete(w.sinks, "192.0.2.2")
		s := w.sinks["192.0.2.1"]
		if s.TLS = tt.server; tt.server != nil {
			s.Extensions = append(s.Extensions, "STARTTLS")
		}
		w.zone.Authentic = tt.signed
		if slices.Equal(tt.records, []string{"EE"}) {
			tt.records = []string{tlsa(t, 3, 1, 1, tt.server.Certificates[0].Leaf)}
		}
		for _, r := range tt.records {
			if !strings.HasPrefix(r, "TLSA") {
				r = "TLSA " + strings.TrimPrefix(r, "TLSA ")
			}
			w.zone.Records["_25._tcp.mx1.y.test"] = append(w.zone.Records["_25._tcp.mx1.y.test"], r)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		a := w.agent(t, func(c *remote.Config) {
			c.Roots = roots
			c.Policy = func(mail.NextHop) (remote.Policy, error) { return tt.policy, nil }
		})
		got := outcomes(a.Deliver(t.Context(), job("y.test", "b")))[0]
		if m := s.Messages(); len(m) == 1 {
			got = plainYes
			if m[0].OnTLS {
				got = tlsYes
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
}

// TestTLSAFault holds that DNS trouble with TLSA is never taken for "none".
func TestTLSAFault(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.zone.Authentic = true
	w.zone.Fail = []string{"_25._tcp.mx1.y.test"}
	a := w.agent(t, func(c *remote.Config) {
		c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: remote.DANE}, nil }
	})
	if got := outcomes(a.Deliver(t.Context(), job("y.test", "b"))); !slices.Equal(got, []string{"ok mx2.y.test"}) {
		t.Errorf("%v: the host is to be passed over", got)
	}
	if n := w.sinks["192.0.2.1"].Sessions(); n != 0 {
		t.Errorf("%d connections to it", n)
	}
}

func TestSTS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, tt := range []struct {
		rule    string
		server  *tls.Config
		allowed string
		no      bool
		want    string
	}{
		{"an allowed host with a good certificate", ca.server(t, false, "mx1.y.test"), "mx1.y.test", false, "ok mx1.y.test"},
		{"a bad certificate", ca.server(t, false, "else.test"), "mx1.y.test", false, "4.7.5"},
		{"no TLS", nil, "mx1.y.test", false, "4.7.5"},
		{"no TLS and TLS-Required: No", nil, "mx1.y.test", true, "ok mx1.y.test"},
		{"no host is allowed", ca.server(t, false, "mx1.y.test"), "mx9.y.test", false, "4.7.5"},
	} {
		w := newWorld()
		s := w.sinks["192.0.2.1"]
		if s.TLS = tt.server; s.TLS != nil {
			s.Extensions = []string{"STARTTLS"}
		}
		a := w.agent(t, func(c *remote.Config) {
			c.Roots = roots
			c.STS = func(context.Context, string) remote.STS {
				return remote.STS{Allows: func(h string) bool { return h == tt.allowed }}
			}
		})
		j := job("y.test", "b")
		if tt.no {
			j.Content = strings.NewReader("TLS-Required: No\r\n" + content)
		}
		if got := outcomes(a.Deliver(t.Context(), j))[0]; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
}

func TestRequireTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	good, own := ca.server(t, false, "mx1.y.test"), newAuthority(t).server(t, false, "mx1.y.test")
	both, gone := []string{"STARTTLS", "REQUIRETLS"}, []string{"gone"}
	strict := func(c *remote.Config) {
		c.Roots = ca.pool()
		c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: remote.Encrypt}, nil }
	}
	for _, tt := range []struct {
		rule   string
		tls    *tls.Config
		ext    []string
		level  remote.Level
		signed bool // the MX records, and TLSA where there is one
		tlsa   bool
		sts    string   // the host that the MTA-STS policy names
		second []string // extensions of the second exchanger, which has TLS too
		want   string
	}{
		{"without TLS", nil, nil, remote.May, true, false, "", nil, "5.7.10"},
		{"without the extension", good, []string{"STARTTLS"}, remote.May, true, false, "", nil, "5.7.30"},
		{"all that it wants", good, both, remote.May, true, false, "", nil, "ok mx1.y.test"},
		{"a certificate of nobody", own, both, remote.Encrypt, true, false, "", nil, "4.7.5"},
		{"MX records that are not signed", good, both, remote.Secure, false, false, "", nil, "4.7.30"},
		{"named by MTA-STS", good, both, remote.May, false, false, "mx1.y.test", nil, "ok mx1.y.test"},
		{"not named by MTA-STS", good, both, remote.May, false, false, "mx9.y.test", nil, "4.7.5"},
		{"a certificate that DANE knows", own, both, remote.DANE, true, true, "", nil, "ok mx1.y.test"},
		{"dane, and no record", own, both, remote.DANE, true, false, "", nil, "4.7.5"},
		{"another exchanger has the extension", good, []string{"STARTTLS"}, remote.May, true, false, "", both, "ok mx2.y.test"},
		{"another exchanger has no TLS", good, []string{"STARTTLS"}, remote.May, true, false, "", []string{}, "5.7.30"},
		{"another exchanger is not reached", good, []string{"STARTTLS"}, remote.May, true, false, "", gone, "4.4.1"},
	} {
		w := newWorld()
		w.zone.Authentic = tt.signed
		switch {
		case tt.second == nil:
			delete(w.sinks, "192.0.2.2")
			w.zone.Records["y.test"] = w.zone.Records["y.test"][:1]
		case slices.Equal(tt.second, gone):
			delete(w.sinks, "192.0.2.2")
		case len(tt.second) > 0:
			w.sinks["192.0.2.2"].TLS, w.sinks["192.0.2.2"].Extensions = ca.server(t, false, "mx2.y.test"), tt.second
		}
		s := w.sinks["192.0.2.1"]
		s.TLS, s.Extensions = tt.tls, tt.ext
		if tt.tlsa {
			w.zone.Records["_25._tcp.mx1.y.test"] = []string{"TLSA " + strings.TrimPrefix(tlsa(t, 3, 1, 1, own.Certificates[0].Leaf), "TLSA ")}
		}
		a := w.agent(t, func(c *remote.Config) {
			strict(c)
			c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: tt.level}, nil }
			if tt.sts != "" {
				c.STS = func(context.Context, string) remote.STS { return remote.STS{Allows: allow(tt.sts)} }
			}
		})
		j := job("y.test", "b")
		j.RequireTLS = true
		got := outcomes(a.Deliver(t.Context(), j))[0]
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
		if m := s.Messages(); got == "ok mx1.y.test" && (len(m) != 1 || !m[0].OnTLS || !strings.HasSuffix(m[0].From, " REQUIRETLS")) {
			t.Errorf("%s: %+v", tt.rule, m)
		}
	}
	// A notification is not lost for want of it (section 5).
	for _, ext := range [][]string{nil, both} {
		w := newWorld()
		s := w.sinks["192.0.2.1"]
		if s.Extensions = ext; ext != nil {
			s.TLS = good
		}
		j := job("y.test", "b")
		j.RequireTLS, j.From = true, mail.ReversePath{}
		got := outcomes(w.agent(t, func(c *remote.Config) { c.Roots = ca.pool() }).Deliver(t.Context(), j))[0]
		if m := s.Messages(); got != "ok mx1.y.test" || len(m) != 1 || strings.HasSuffix(m[0].From, " REQUIRETLS") != (ext != nil) {
			t.Errorf("a notification to a host with %q: %s, %+v", ext, got, m)
		}
	}
	// TLS-Required: No asks for delivery in any case.
	w := newWorld()
	j := job("y.test", "b")
	j.Content = strings.NewReader("TLS-Required: No\r\n" + content)
	if got := outcomes(w.agent(t, strict).Deliver(t.Context(), j))[0]; got != "ok mx1.y.test" {
		t.Errorf("TLS-Required: No gave %s", got)
	}
}

func TestLoginOnTLS(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.sinks["192.0.2.1"]
	s.TLS, s.Extensions = newAuthority(t).server(t, false, "mx1.y.test"), []string{"STARTTLS", "AUTH PLAIN"}
	a := w.agent(t, func(c *remote.Config) {
		c.Login = func(mail.NextHop, mail.ReversePath) (remote.Login, bool) {
			return remote.Login{Name: "u", Password: "p"}, true
		}
	})
	if got := outcomes(a.Deliver(t.Context(), job("y.test", "b")))[0]; got != "ok mx1.y.test" || !slices.Contains(s.Commands(), "AUTH PLAIN AHUAcA==") {
		t.Errorf("%s, %q", got, s.Commands())
	}
	s.Replies = map[string]string{"AUTH": "535 5.7.8 Wrong password\r\n"}
	if got := outcomes(a.Deliver(t.Context(), job("mx1.y.test", "b")))[0]; got != "4.4.1" {
		t.Errorf("a refused login gave %s, want a temporary outcome", got)
	}
}

func (a authority) pool() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return roots
}

func allow(name string) func(string) bool { return func(h string) bool { return h == name } }
