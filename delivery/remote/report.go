package remote

import (
	"crypto/x509"
	"errors"
	"net"

	"gomaild/mail"
)

// TLSResult is one attempt to speak TLS with a mail exchanger, for reports to its
// domain (RFC 8460).
type TLSResult struct {
	Domain   string
	Policy   string   // "sts", "tlsa" or "no-policy-found"
	Lines    []string // of the MTA-STS policy
	MX       []string // host patterns of the MTA-STS policy
	Host     string   // the exchanger
	HostAddr string
	Failure  string // "" for a success, else a result type of section 4.3
	Reason   string
}

// STS is the MTA-STS policy of a domain, as far as it counts now.
type STS struct {
	Allows  func(host string) bool // nil: there is none
	Testing bool                   // failures are reported, and nothing else
	Lines   []string
	MX      []string
	Failure string // why a policy that is published could not be had, a result type of RFC 8460
}

// reportTLS tells of an attempt with a host.
func (t *attempt) reportTLS(h host, addr string, want demand, err error) {
	if t.cfg.Report == nil || t.to.NoMX || t.to.Transport == "lmtp" || h.name == "" || h.network != "tcp" || want.tls == nil {
		return
	}
	r := TLSResult{Domain: t.to.Host, Policy: "no-policy-found", Host: h.name}
	r.HostAddr, _, _ = net.SplitHostPort(addr)
	switch {
	case want.byTLSA:
		r.Policy = "tlsa"
	case t.sts.Allows != nil:
		r.Policy, r.Lines, r.MX = "sts", t.sts.Lines, t.sts.MX
	}
	if err == nil && want.observed != nil {
		err = *want.observed
		if err != nil {
			err = errors.Join(errTLSFailed, err)
		}
	}
	if err != nil && !errors.Is(err, errNoTLS) && !errors.Is(err, errTLSFailed) {
		return // not about TLS
	}
	if err != nil {
		r.Failure, r.Reason = failureType(err), err.Error()
	}
	t.cfg.Report(r)
}

// reportSTS tells of a policy that is published and could not be had.
func (t *attempt) reportSTS() {
	if t.cfg.Report != nil && t.sts.Failure != "" {
		t.cfg.Report(TLSResult{Domain: t.to.Host, Policy: "sts", Failure: t.sts.Failure})
	}
}

// reportTLSA tells of a host whose TLSA records could not be learned, or are not
// there and must be.
func (t *attempt) reportTLSA(h host, addr string, err error) {
	if t.cfg.Report == nil || t.to.NoMX || t.to.Transport == "lmtp" {
		return
	}
	r := TLSResult{Domain: t.to.Host, Policy: "tlsa", Host: h.name, Failure: "dnssec-invalid", Reason: err.Error()}
	r.HostAddr, _, _ = net.SplitHostPort(addr)
	if errors.Is(err, errNoTLSA) {
		r.Failure = "dane-required"
	}
	t.cfg.Report(r)
}

// failureType is the result type of RFC 8460 section 4.3.
func failureType(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case errors.Is(err, errNoTLS):
		return "starttls-not-supported"
	case errors.Is(err, errDANE):
		return "tlsa-invalid"
	case isInvalid && invalid.Reason == x509.Expired:
		return "certificate-expired"
	case isUnknown || isInvalid:
		return "certificate-not-trusted"
	case errors.Is(err, errName):
		return "certificate-host-mismatch"
	case errors.Is(err, errNotAllowed):
		return "validation-failure"
	}
	return "validation-failure"
}

// errNotAllowed is an exchanger that the MTA-STS policy does not name.
var errNotAllowed = errors.New("is not in the domain's MTA-STS policy")

// nextHop is the destination as tables have it.
func (t *attempt) nextHop() mail.NextHop {
	return mail.NextHop{Host: t.to.Host, NoMX: t.to.NoMX, Port: t.to.Port}
}
