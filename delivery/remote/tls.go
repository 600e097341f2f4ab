package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"gomaild/internal/dns"
	"gomaild/message"
	"gomaild/smtp/client"
)

// Level is what TLS must be, in Postfix's words.
type Level int

// The levels, weakest first but for May, which is the zero Level.
const (
	None        Level = iota - 1 // never
	May                          // where it is offered, whoever it is; without where it fails
	Encrypt                      // always, whoever it is
	DANE                         // by TLSA records (RFC 7672) where there are signed ones, else May
	DANEOnly                     // by TLSA records, always
	Fingerprint                  // always, with a certificate or key of a known digest
	Verify                       // always, with a certificate for the host's name
	Secure                       // always, with a certificate for the destination's own name
)

// Policy is what TLS must be for one destination.
type Policy struct {
	Level Level
	// Match is the names of which the certificate must have one; a leading dot
	// is any name below; nexthop, dot-nexthop and hostname stand for what they
	// say. Empty is the host's name for Verify, the destination's and any below it
	// for Secure. For Fingerprint it is SHA-256 digests, in hex.
	Match      []string
	MinVersion uint16 // of TLS; 0 is 1.2
}

var (
	errNoTLS     = errors.New("TLS is not offered")
	errTLSFailed = errors.New("TLS failed")
	errNoTLSA    = errors.New("no signed TLSA records")
	errName      = errors.New("the certificate is for none")
)

// demand is a policy applied to one host.
type demand struct {
	tls       *tls.Config // nil: without
	mandatory bool
	fallsBack bool
	byTLSA    bool   // TLSA records decide
	observed  *error // what was found that decides nothing
}

// secure brings the connection where the demand wants it.
func secure(ctx context.Context, c *client.Conn, want demand) error {
	if want.tls == nil {
		return nil
	}
	if _, ok := c.Extension("STARTTLS"); !ok {
		if want.mandatory {
			return errNoTLS
		}
		*want.observed = errNoTLS
		return nil
	}
	if err := c.StartTLS(ctx, want.tls); err != nil {
		return fmt.Errorf("%w: %w", errTLSFailed, err)
	}
	return nil
}

// demand turns the policy into what a host must show. An error is a fault of
// the DNS: whether TLSA records exist could not be learned, and the host is
// not used (RFC 7672 section 2.1.3).
func (t *attempt) demand(ctx context.Context, h host) (demand, error) {
	level := t.policy.Level
	if t.enforces() && level != DANE {
		level = Verify
	}
	want := demand{observed: new(error)}
	var check func(tls.ConnectionState) error
	switch level {
	case None:
		return demand{}, nil
	case DANE, DANEOnly:
		records, published, err := t.tlsa(ctx, h)
		if err != nil {
			return demand{}, err
		}
		switch {
		case len(records) > 0:
			names := []string{h.name, t.to.Host}
			check = func(s tls.ConnectionState) error { return verifyDANE(records, s.PeerCertificates, names) }
			want.byTLSA = true
		case level == DANEOnly:
			return demand{}, errNoTLSA
		case t.enforces(), t.requiresTLS():
			level = Verify
		case published:
			level = Encrypt
		default:
			level = May
		}
	}
	switch {
	case level == Fingerprint:
		check = func(s tls.ConnectionState) error { return verifyFingerprint(s.PeerCertificates, t.policy.Match) }
	case level >= Verify:
		names := t.names(h)
		check = func(s tls.ConnectionState) error { return verifyNames(s.PeerCertificates, t.cfg.Roots, names) }
	case check == nil && t.sts.Allows != nil: // testing
		check = t.observe(h, want.observed)
	}
	want.mandatory, want.fallsBack = level > May, level == May
	want.tls = &tls.Config{
		ServerName:         dns.HostName(h.name),
		MinVersion:         max(t.policy.MinVersion, tls.VersionTLS12),
		InsecureSkipVerify: true, // VerifyConnection decides, by rules that crypto/tls does not have
		VerifyConnection: func(s tls.ConnectionState) error {
			if check == nil {
				return nil
			}
			return check(s)
		},
	}
	return want, nil
}

// enforces reports that an MTA-STS policy decides.
func (t *attempt) enforces() bool { return t.sts.Allows != nil && !t.sts.Testing }

// observe is a check by an MTA-STS policy in testing mode: what it finds is
// reported and stops nothing.
func (t *attempt) observe(h host, found *error) (check func(tls.ConnectionState) error) {
	if !t.sts.Allows(h.name) {
		*found = errNotAllowed
	}
	return func(s tls.ConnectionState) error {
		if err := verifyNames(s.PeerCertificates, t.cfg.Roots, []string{h.name}); err != nil {
			*found = err
		}
		return nil
	}
}

// findSTS asks for the MTA-STS policy of a mail domain. A message that says
// TLS-Required: No goes without (RFC 8689 section 5), and so does one to a host
// of the operator's, whose policy is ours.
func (t *attempt) findSTS(ctx context.Context) {
	level := t.policy.Level
	counts := t.requiresTLS() || level == May || level == Encrypt || level == DANE
	if t.cfg.STS == nil || t.tlsOptional || t.to.NoMX || t.to.Transport == "lmtp" || !counts {
		return
	}
	if _, isLiteral := literal(t.to.Host); isLiteral {
		return
	}
	t.sts = t.cfg.STS(ctx, t.to.Host)
}

// names is what the certificate must be for.
func (t *attempt) names(h host) []string {
	switch {
	case t.enforces():
	case len(t.policy.Match) > 0:
		return expandMatch(t.policy.Match, t.to.Host, h.name)
	case t.policy.Level == Secure:
		return []string{t.to.Host, "." + t.to.Host}
	}
	return []string{h.name}
}

// verifyNames checks the chain against roots and for one of the names.
func verifyNames(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	for _, name := range names {
		if hasName(chain[0], name) {
			return nil
		}
	}
	return fmt.Errorf("%w of %q", errName, names)
}

func hasName(c *x509.Certificate, name string) bool {
	if !strings.HasPrefix(name, ".") {
		return name != "" && c.VerifyHostname(name) == nil
	}
	for _, have := range c.DNSNames {
		have = strings.TrimPrefix(strings.ToLower(have), "*")
		if len(have) > len(name) && strings.HasSuffix(have, name) || have == name {
			return true
		}
	}
	return false
}

// saysTLSNotRequired looks for the TLS-Required field (RFC 8689 section 5).
func saysTLSNotRequired(c message.Content) (bool, error) {
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return false, err
		}
		if f.Is("TLS-Required") && strings.EqualFold(strings.TrimSpace(f.Text()), "No") {
			return true, nil
		}
	}
	return false, nil
}
