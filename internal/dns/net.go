package dns

import (
	"context"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// Net is a Resolver with the methods of *net.Resolver, whose errors it returns:
// a *net.DNSError with IsNotFound when there are no records, and a temporary
// one when nobody answered.
type Net struct{ Resolver }

// LookupTXT is the TXT records of a name, the strings of each joined.
func (n Net) LookupTXT(ctx context.Context, name string) ([]string, error) {
	list, err := LookupTXT(ctx, n.Resolver, name)
	return list, netError(name, err)
}

// LookupMX is the MX records of a name.
func (n Net) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	list, _, err := LookupMX(ctx, n.Resolver, name)
	all := make([]*net.MX, len(list))
	for i, mx := range list {
		all[i] = &net.MX{Host: mx.Host + ".", Pref: mx.Preference}
	}
	return all, netError(name, err)
}

// LookupNetIP is the addresses of a host in a network, "ip", "ip4" or "ip6".
func (n Net) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	qtype, isOne := map[string]uint16{"ip4": dns.TypeA, "ip6": dns.TypeAAAA}[network]
	if !isOne {
		list, _, err := LookupAddrs(ctx, n.Resolver, host)
		return list, netError(host, err)
	}
	a, err := n.Query(ctx, host, qtype)
	return appendAddrs(nil, a.Records), netError(host, err)
}

// LookupAddr is the names of an address.
func (n Net) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if _, err := netip.ParseAddr(addr); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: addr, IsNotFound: true}
	}
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: addr, IsNotFound: true}
	}
	a, err := n.Query(ctx, name, dns.TypePTR)
	var names []string
	for _, rr := range a.Records {
		if ptr, ok := rr.(*dns.PTR); ok {
			names = append(names, HostName(ptr.Ptr))
		}
	}
	return names, netError(addr, err)
}

func netError(name string, err error) error {
	if err == nil {
		return nil
	}
	return &net.DNSError{UnwrapErr: err, Err: err.Error(), Name: name, IsNotFound: IsNone(err), IsTemporary: !IsNone(err)}
}
