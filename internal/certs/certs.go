// Package certs holds the TLS certificates that the listeners show: it loads
// them from PEM files, picks one by the name that the client asks for (SNI),
// and replaces all of them at once while connections go on.
//
// Rules: a new set is complete and checked before it is shown, so a bad file
// leaves the old set in place. A certificate that has expired, or is not valid
// yet, is shown with a warning: a client that complains is better than none
// that can connect.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Pair names the files of one certificate.
type Pair struct {
	Cert string // PEM: the certificate, then the chain
	Key  string // PEM: its private key
}

// Set is certificates that were loaded together. It does not change.
type Set struct {
	pairs []Pair
	certs []*tls.Certificate // in the order of pairs, each with its Leaf
}

// Load reads and checks the files: they parse, and each key belongs to its
// certificate. The error names the file and the fault.
func Load(pairs []Pair) (*Set, error) {
	if len(pairs) == 0 {
		return nil, fmt.Errorf("no certificate is named")
	}
	s := &Set{pairs: slices.Clone(pairs)}
	for _, p := range pairs {
		c, err := load(p)
		if err != nil {
			return nil, err
		}
		s.certs = append(s.certs, c)
	}
	return s, nil
}

func load(p Pair) (*tls.Certificate, error) {
	chain, err := os.ReadFile(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
		}
	}
	return &c, nil
}

// pick is the first certificate that this client can use under the name that
// it asked for, else the first of all.
func (s *Set) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, c := range s.certs {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return s.certs[0], nil
}

// Info describes one certificate to a person.
type Info struct {
	Pair
	Names    []string // the host names and addresses that it is for
	Issuer   string
	NotAfter time.Time
	Warnings []string // what a person should look at; empty when all is well
}

// String is the certificate in one line.
func (i Info) String() string {
	return fmt.Sprintf("%s: %s, valid until %s", i.Cert, strings.Join(i.Names, " "), i.NotAfter.UTC().Format(time.DateOnly))
}

// renewBefore is how long before its end a certificate gets a warning: those
// that are renewed by a program are renewed earlier than this.
const renewBefore = 14 * 24 * time.Hour

// Describe tells what is in the set and, as warnings, what is wrong with it at
// the time now. hosts are the names under which clients connect; each should
// be on some certificate.
func (s *Set) Describe(now time.Time, hosts ...string) []Info {
	infos := make([]Info, 0, len(s.certs))
	for i, c := range s.certs {
		infos = append(infos, describe(s.pairs[i], c.Leaf, now))
	}
	for _, host := range hosts {
		if !s.covers(host) {
			infos[0].Warnings = append(infos[0].Warnings, fmt.Sprintf("no certificate is for %s", host))
		}
	}
	return infos
}

func (s *Set) covers(host string) bool {
	return slices.ContainsFunc(s.certs, func(c *tls.Certificate) bool { return c.Leaf.VerifyHostname(host) == nil })
}

func describe(p Pair, leaf *x509.Certificate, now time.Time) Info {
	info := Info{Pair: p, Names: slices.Clone(leaf.DNSNames), Issuer: leaf.Issuer.String(), NotAfter: leaf.NotAfter}
	for _, ip := range leaf.IPAddresses {
		info.Names = append(info.Names, ip.String())
	}
	warn := func(format string, args ...any) {
		info.Warnings = append(info.Warnings, fmt.Sprintf("certificate %s ", p.Cert)+fmt.Sprintf(format, args...))
	}
	end := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		warn("expired at %s", end)
	case now.Add(renewBefore).After(leaf.NotAfter):
		warn("expires at %s", end)
	case now.Before(leaf.NotBefore):
		warn("is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(info.Names) == 0 {
		warn("names no host (no subject alternative name)")
	}
	if st, err := os.Stat(p.Key); err == nil && st.Mode().Perm()&0o007 != 0 {
		warn("has a key that everybody may read: %s has mode %04o", p.Key, st.Mode().Perm())
	}
	return info
}

// Store shows the current set. It is safe for concurrent use.
type Store struct {
	current atomic.Pointer[Set]

	reload sync.Mutex // one Reload at a time, so that an older read never wins
}

// New loads the files and makes a store that shows them.
func New(pairs []Pair) (*Store, error) {
	set, err := Load(pairs)
	if err != nil {
		return nil, err
	}
	s := new(Store)
	s.current.Store(set)
	return s, nil
}

// TLSConfig is for servers: TLS 1.2 or later, and with each handshake the
// certificate of the set that is current then. The caller may raise
// MinVersion; it must not change the rest.
func (s *Store) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.Current().pick(hello)
		},
	}
}

// Current is the set that is shown now.
func (s *Store) Current() *Set { return s.current.Load() }

// Replace shows another set from the next handshake on. The configuration
// loads and checks it with everything else, and then cannot fail.
func (s *Store) Replace(set *Set) { s.current.Store(set) }

// Reload reads the same files again. On an error the old set stays.
func (s *Store) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	set, err := Load(s.Current().pairs)
	if err != nil {
		return fmt.Errorf("reload certificates: %w", err)
	}
	s.Replace(set)
	return nil
}
