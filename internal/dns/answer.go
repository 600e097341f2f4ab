package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// What a Resolver says when there are no records. Both are answers, not
// faults; every other error is a fault of the way there, and temporary.
var (
	ErrNotExist = errors.New("no such name in the DNS")    // NXDOMAIN
	ErrNoData   = errors.New("no records of the DNS type") // the name exists
)

// IsNone reports that err is an answer: there are no such records.
func IsNone(err error) bool { return errors.Is(err, ErrNotExist) || errors.Is(err, ErrNoData) }

// Answer is the records of one type at the end of the chain of aliases.
type Answer struct {
	Records   []dns.RR
	Name      string // where they stand, after CNAMEs; lower case, with the final dot
	Authentic bool   // validated by a trusted resolver; also of a denial
}

// Resolver answers one question. With ErrNotExist and ErrNoData the Answer
// still says whether the denial is authentic.
type Resolver interface {
	Query(ctx context.Context, name string, qtype uint16) (Answer, error)
}

// MX is one mail exchanger. Host is in lower case and without the final dot,
// "" for the null MX (RFC 7505).
type MX struct {
	Preference uint16
	Host       string
}

// LookupMX is the MX records of a domain in the order of the answer.
func LookupMX(ctx context.Context, r Resolver, domain string) (list []MX, authentic bool, err error) {
	a, err := r.Query(ctx, domain, dns.TypeMX)
	for _, rr := range a.Records {
		if mx, ok := rr.(*dns.MX); ok {
			list = append(list, MX{mx.Preference, HostName(mx.Mx)})
		}
	}
	return list, a.Authentic, err
}

// LookupAddrs is the IPv4 and IPv6 addresses of a host. authentic is true when
// every answer that gave addresses was. One family that cannot be asked is
// passed over when the other one gave addresses.
func LookupAddrs(ctx context.Context, r Resolver, host string) (addrs []netip.Addr, authentic bool, err error) {
	authentic = true
	var fault, none error
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeA} {
		a, err := r.Query(ctx, host, qtype)
		authentic = authentic && a.Authentic
		switch {
		case err == nil:
			addrs = appendAddrs(addrs, a.Records)
		case IsNone(err):
			none = err
		default:
			fault = err
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, authentic, nil
	case fault != nil:
		return nil, authentic, fault
	case none == nil:
		none = fmt.Errorf("addresses of %s: %w", host, ErrNoData)
	}
	return nil, authentic, none
}

func appendAddrs(addrs []netip.Addr, records []dns.RR) []netip.Addr {
	for _, rr := range records {
		var ip netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			ip, _ = netip.AddrFromSlice(rr.A)
		case *dns.AAAA:
			ip, _ = netip.AddrFromSlice(rr.AAAA)
		}
		if ip.IsValid() {
			addrs = append(addrs, ip.Unmap())
		}
	}
	return addrs
}

// LookupTXT is the TXT records of a name, the strings of each joined as RFC
// 7208 section 3.3 and RFC 6376 section 3.6.2.2 want them, octet for octet.
func LookupTXT(ctx context.Context, r Resolver, name string) ([]string, error) {
	a, err := r.Query(ctx, name, dns.TypeTXT)
	var list []string
	for _, rr := range a.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			list = append(list, unescape(strings.Join(txt.Txt, "")))
		}
	}
	return list, err
}

// unescape undoes what the library does to octets that a zone file cannot have
// as they are: backslash and the octet, or its three digits.
func unescape(s string) string {
	if !strings.Contains(s, "\\") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if n, err := strconv.ParseUint(s[i:min(i+3, len(s))], 10, 8); err == nil && i+3 <= len(s) {
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// HostName is a name of the DNS as mail writes it: lower case, no final dot.
func HostName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }
