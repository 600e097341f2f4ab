package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"

	mdns "github.com/miekg/dns"

	"gomaild/internal/dns"
)

// maxTLSA bounds the records that are compared with each certificate.
const maxTLSA = 20

// errDANE means that no TLSA record fits the certificates.
var errDANE = errors.New("no TLSA record fits the certificate")

// tlsa is the TLSA records of a host that count: signed, all the way from the
// destination, and of usages that RFC 7672 section 3.1 knows. published tells
// that there are signed ones, also where none of them is usable: then TLS is
// mandatory and not verified (section 2.2).
func (t *attempt) tlsa(ctx context.Context, h host) (usable []*mdns.TLSA, published bool, err error) {
	if !h.authentic || h.name == "" || h.network != "tcp" {
		return nil, false, nil
	}
	port := t.cfg.Port
	if t.to.Port != 0 {
		port = t.to.Port
	}
	a, err := t.cfg.Resolver.Query(ctx, "_"+strconv.Itoa(int(port))+"._tcp."+h.name, mdns.TypeTLSA)
	switch {
	case dns.IsNone(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("TLSA of %s: %w", h.name, err)
	case !a.Authentic:
		return nil, false, nil
	}
	return usableTLSA(a.Records), len(a.Records) > 0, nil
}

func usableTLSA(records []mdns.RR) (list []*mdns.TLSA) {
	for _, rr := range records {
		r, ok := rr.(*mdns.TLSA)
		if ok && len(list) < maxTLSA && (r.Usage == 2 || r.Usage == 3) && r.Selector <= 1 && r.MatchingType <= 2 && r.Certificate != "" {
			list = append(list, r)
		}
	}
	return list
}

// verifyDANE is RFC 7672 section 3.1: DANE-EE(3) is a fitting certificate of
// the host and nothing else, no name and no date; DANE-TA(2) is a fitting
// certificate further up, with a chain to it and one of the names.
func verifyDANE(records []*mdns.TLSA, chain []*x509.Certificate, names []string) error {
	if len(chain) == 0 {
		return errDANE
	}
	last := errDANE
	for _, r := range records {
		if r.Usage == 3 && r.Verify(chain[0]) == nil {
			return nil
		}
		if r.Usage != 2 {
			continue
		}
		for _, anchor := range chain[1:min(len(chain), 10)] {
			if r.Verify(anchor) != nil {
				continue
			}
			roots := x509.NewCertPool()
			roots.AddCert(anchor)
			err := verifyNames(chain, roots, names)
			if err == nil {
				return nil
			}
			last = fmt.Errorf("%w: %w", errDANE, err)
		}
	}
	return last
}
