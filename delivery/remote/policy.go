package remote

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomaild/mail"
)

// ErrPolicy is a TLS policy that cannot be read.
var ErrPolicy = errors.New(`not a TLS policy; write "none", "may", "encrypt", "dane", "dane-only", "fingerprint match=SHA256", "verify" or "secure", and perhaps match=`)

// ParseLevel reads Postfix's word for a level. ErrPolicy.
func ParseLevel(word string) (Level, error) {
	for l := None; l <= Secure; l++ {
		if l.String() == word {
			return l, nil
		}
	}
	return May, fmt.Errorf("%q: %w", word, ErrPolicy)
}

// ParsePolicy reads a value of a TLS policy map, as smtp_tls_policy_maps in
// Postfix has it: a level, then attributes. match= has names, or fingerprints,
// with colons or | between them as Postfix writes each; it may be repeated.
// protocols= sets the oldest version ("TLSv1.3", ">=TLSv1.2", "!TLSv1.2");
// ciphers=, exclude=, connection_reuse= and enable_rpk= are passed over.
// ErrPolicy.
func ParsePolicy(value string) (Policy, error) {
	var p Policy
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(words) == 0 {
		return p, ErrPolicy
	}
	var err error
	if p.Level, err = ParseLevel(words[0]); err != nil {
		return p, err
	}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok || value == "" {
			return p, fmt.Errorf("%q: %w", w, ErrPolicy)
		}
		if err := p.set(name, value); err != nil {
			return p, err
		}
	}
	if p.Level == Fingerprint && len(p.Match) == 0 {
		return p, fmt.Errorf("fingerprint needs match=: %w", ErrPolicy)
	}
	return p, nil
}

func (p *Policy) set(name, value string) error {
	switch name {
	case "match":
		if p.Level == Fingerprint {
			for one := range strings.SplitSeq(value, "|") {
				digest := strings.ToLower(strings.ReplaceAll(one, ":", ""))
				if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size {
					return fmt.Errorf("%q is no SHA-256 fingerprint: %w", one, ErrPolicy)
				}
				p.Match = append(p.Match, digest)
			}
			return nil
		}
		for one := range strings.SplitSeq(value, ":") {
			if _, err := mail.ParseDomain(strings.TrimPrefix(one, ".")); err != nil {
				return fmt.Errorf("%q is no name: %w", one, ErrPolicy)
			}
			p.Match = append(p.Match, strings.ToLower(one))
		}
	case "protocols":
		return p.setProtocols(value)
	case "ciphers", "exclude", "connection_reuse", "enable_rpk", "tafile", "servername":
		if name == "tafile" || name == "servername" {
			return fmt.Errorf("%s= is not taken: %w", name, ErrPolicy)
		}
	default:
		return fmt.Errorf("%s=: %w", name, ErrPolicy)
	}
	return nil
}

// setProtocols knows two versions, since older ones are never spoken.
func (p *Policy) setProtocols(value string) error {
	words := strings.Split(value, ":")
	switch {
	case slices.Contains(words, ">=TLSv1.3"), slices.Contains(words, "!TLSv1.2"), slices.Equal(words, []string{"TLSv1.3"}):
		p.MinVersion = tls.VersionTLS13
		return nil
	}
	for _, w := range words {
		w = strings.TrimPrefix(strings.TrimPrefix(w, ">="), "!")
		if !slices.Contains([]string{"SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}, w) {
			return fmt.Errorf("protocols=%s: %w", value, ErrPolicy)
		}
	}
	return nil
}

// PolicyKeys is the order in which a TLS policy map is asked about a next hop: as
// it is written, and for a mail domain also each domain above with a leading dot.
func PolicyKeys(h mail.NextHop) []string {
	keys := []string{h.String()}
	if h.NoMX || h.Port != 0 {
		return keys
	}
	for domain := h.Host; ; {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return keys
		}
		keys = append(keys, "."+above)
		domain = above
	}
}

// expandMatch fills in the words that Postfix has for names: nexthop,
// dot-nexthop and hostname.
func expandMatch(match []string, nexthop, host string) []string {
	var names []string
	for _, m := range match {
		switch m {
		case "nexthop":
			m = nexthop
		case "dot-nexthop":
			m = "." + nexthop
		case "hostname":
			m = host
		}
		names = append(names, m)
	}
	return names
}

var errFingerprint = errors.New("the certificate has none of the fingerprints")

// verifyFingerprint compares the certificate and its public key, as Postfix does.
func verifyFingerprint(chain []*x509.Certificate, digests []string) error {
	if len(chain) == 0 {
		return errFingerprint
	}
	cert, key := sha256.Sum256(chain[0].Raw), sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
	if slices.Contains(digests, hex.EncodeToString(cert[:])) || slices.Contains(digests, hex.EncodeToString(key[:])) {
		return nil
	}
	return errFingerprint
}
