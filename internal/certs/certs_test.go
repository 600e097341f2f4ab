package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
)

// pairIn makes a pair for the hosts in a new directory.
func pairIn(t *testing.T, now time.Time, hosts ...string) Pair {
	t.Helper()
	dir := t.TempDir()
	p := Pair{Cert: filepath.Join(dir, CertFile), Key: filepath.Join(dir, KeyFile)}
	writePair(t, p, now, hosts...)
	return p
}

func writePair(t *testing.T, p Pair, now time.Time, hosts ...string) {
	t.Helper()
	cert, key, err := makePair(now, hosts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Cert, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is the certificate that a client gets which asks for host.
func shown(t *testing.T, server *tls.Config, host string) (*x509.Certificate, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		_ = tls.Server(b, server).Handshake()
	}()
	c := tls.Client(a, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestPicksByName(t *testing.T) {
	t.Parallel()
	s, err := New([]Pair{pairIn(t, time.Now(), "mail.example.com"), pairIn(t, time.Now(), "imap.example.org", "smtp.example.org")})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"mail.example.com": "mail.example.com",
		"smtp.example.org": "imap.example.org",
		"unknown.example":  "mail.example.com",
	} {
		c, err := shown(t, s.TLSConfig(), host)
		if err != nil || c.DNSNames[0] != want {
			t.Errorf("asked for %s: %v, %v, want %s", host, c, err, want)
		}
	}
}

func TestRefusesOldTLS(t *testing.T) {
	t.Parallel()
	s, err := New([]Pair{pairIn(t, time.Now(), "mail.example.com")})
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		defer b.Close()
		_ = tls.Server(b, s.TLSConfig()).Handshake()
	}()
	old := tls.Client(a, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 is served")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	p := pairIn(t, time.Now(), "old.example.com")
	s, err := New([]Pair{p})
	if err != nil {
		t.Fatal(err)
	}
	server := s.TLSConfig() // made once, before the reload
	expect := func(want string) {
		t.Helper()
		if c, err := shown(t, server, "mail.example.com"); err != nil || c.DNSNames[0] != want {
			t.Errorf("shown: %v, %v, want %s", c, err, want)
		}
	}
	writePair(t, p, time.Now(), "new.example.com")
	expect("old.example.com")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("new.example.com")

	other := pairIn(t, time.Now(), "other.example.com")
	foreign, err := os.ReadFile(other.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		rule    string
		name    string
		content []byte
		want    string
	}{
		{"not PEM", p.Cert, []byte("nothing"), p.Cert},
		{"empty", p.Cert, nil, p.Cert},
		{"another certificate's key", p.Key, foreign, p.Key},
		{"gone", p.Key, nil, p.Key},
	} {
		good, err := os.ReadFile(tc.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tc.name, tc.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if tc.rule == "gone" {
			if err := os.Remove(tc.name); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Reload(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Reload = %v, want the name %s", tc.rule, err, tc.want)
		}
		expect("new.example.com")
		if err := os.WriteFile(tc.name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reload(); err != nil {
		t.Errorf("after the files were mended: %v", err)
	}
}

func TestLoadNothing(t *testing.T) {
	t.Parallel()
	if _, err := Load(nil); err == nil {
		t.Error("no certificate is a set")
	}
	if _, err := New([]Pair{{Cert: "/nonexistent/cert.pem"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tc := range []struct {
		rule  string
		made  time.Time
		names []string
		host  string
		mode  fs.FileMode
		want  string // a warning, "" for none
	}{
		{"all is well", now, []string{"mail.example.com", "192.0.2.1"}, "mail.example.com", 0o600, ""},
		{"expired", now.Add(-selfSignedLife - time.Hour), []string{"mail.example.com"}, "mail.example.com", 0o600, "expired at"},
		{"expires soon", now.Add(-selfSignedLife + time.Hour), []string{"mail.example.com"}, "mail.example.com", 0o600, "expires at"},
		{"from the future", now.Add(48 * time.Hour), []string{"mail.example.com"}, "mail.example.com", 0o600, "not valid before"},
		{"for another host", now, []string{"www.example.com"}, "mail.example.com", 0o600, "no certificate is for mail.example.com"},
		{"for no host", now, nil, "", 0o600, "names no host"},
		{"a key for everybody", now, []string{"mail.example.com"}, "mail.example.com", 0o644, "everybody may read"},
	} {
		p := pairIn(t, tc.made, tc.names...)
		if err := os.Chmod(p.Key, tc.mode); err != nil {
			t.Fatal(err)
		}
		set, err := Load([]Pair{p})
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		if tc.host != "" {
			hosts = []string{tc.host}
		}
		info := set.Describe(now, hosts...)[0]
		warnings := strings.Join(info.Warnings, "; ")
		if tc.want == "" && warnings != "" || !strings.Contains(warnings, tc.want) {
			t.Errorf("%s: warnings %q, want %q", tc.rule, warnings, tc.want)
		}
		for _, n := range tc.names {
			if !strings.Contains(info.String(), n) {
				t.Errorf("%s: %s is not in %q", tc.rule, n, info)
			}
		}
	}
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	p := Pair{Cert: filepath.Join(dir, CertFile), Key: filepath.Join(dir, KeyFile)}
	read := func() string {
		t.Helper()
		b, err := os.ReadFile(p.Cert)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	make := func(hosts ...string) string {
		t.Helper()
		if err := SelfSigned(root, hosts...); err != nil {
			t.Fatal(err)
		}
		return read()
	}

	first := make("localhost", "127.0.0.1")
	if st, err := os.Stat(p.Key); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", st, err)
	}
	s, err := New([]Pair{p})
	if err != nil {
		t.Fatal(err)
	}
	c, err := shown(t, s.TLSConfig(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(c)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if _, err := c.Verify(x509.VerifyOptions{DNSName: host, Roots: trust}); err != nil {
			t.Errorf("a client that trusts it, for %s: %v", host, err)
		}
	}

	if make("localhost") != first {
		t.Error("a pair that is good was made anew")
	}
	second := make("localhost", "other.example")
	if second == first {
		t.Error("the pair is not for a new host")
	}
	if err := os.WriteFile(p.Key, []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	if make("localhost") == second {
		t.Error("a broken key was kept")
	}
	writePair(t, p, time.Now().Add(-selfSignedLife), "localhost")
	old := read()
	if make("localhost") == old {
		t.Error("a pair that ends soon was kept")
	}
}
