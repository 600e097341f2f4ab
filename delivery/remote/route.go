package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gomaild/internal/dns"
	"gomaild/mail"
)

// host is one next hop with the addresses at which to try it.
type host struct {
	name      string // "" for an address literal
	addrs     []string
	network   string
	isNamed   bool // the MX records that name it were signed
	authentic bool // all DNS answers that led here were
}

// look is route, in bounded time: a domain may name many hosts whose name servers
// are silent. Those that were found by then are used.
func (t *attempt) look(ctx context.Context) ([]host, error) {
	ctx, cancel := context.WithTimeout(ctx, routeWait)
	defer cancel()
	return t.route(ctx)
}

// route finds the hosts of the destination, best first.
func (t *attempt) route(ctx context.Context) ([]host, error) {
	if strings.HasPrefix(t.to.Host, "/") {
		return []host{{name: "localhost", network: "unix", addrs: []string{t.to.Host}}}, nil
	}
	if ip, ok := literal(t.to.Host); ok {
		if t.isSelf(ip) && t.to.Transport != "lmtp" && !t.to.NoMX {
			return nil, loops(t.to.Host)
		}
		return []host{{network: "tcp", addrs: []string{t.address(ip)}}}, nil
	}
	if t.to.NoMX || t.to.Transport == "lmtp" {
		return t.oneHost(ctx)
	}
	return t.exchanges(ctx)
}

// literal reads an address literal, with its brackets or, as transports are
// written, without.
func literal(s string) (netip.Addr, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && ip.Zone() == ""
}

// oneHost is a host that the operator named: that it does not exist is a fault
// of the configuration, so mail waits.
func (t *attempt) oneHost(ctx context.Context) ([]host, error) {
	ips, authentic, err := dns.LookupAddrs(ctx, t.cfg.Resolver, t.to.Host)
	if err != nil {
		return nil, &mail.Status{Code: 451, Enhanced: "4.4.4", Text: "No address of host " + t.to.Host, Cause: err}
	}
	return []host{{name: t.to.Host, network: "tcp", addrs: t.addresses(ips), authentic: authentic}}, nil
}

// exchanges is RFC 5321 section 5.1.
func (t *attempt) exchanges(ctx context.Context) ([]host, error) {
	domain := t.to.Host
	list, authentic, err := dns.LookupMX(ctx, t.cfg.Resolver, domain)
	switch {
	case errors.Is(err, dns.ErrNotExist):
		return nil, &mail.Status{Code: 550, Enhanced: "5.1.2", Text: "Domain " + domain + " does not exist", Cause: err}
	case errors.Is(err, dns.ErrNoData):
		list = []dns.MX{{Host: domain}} // the implicit MX
	case err != nil:
		return nil, &mail.Status{Code: 451, Enhanced: "4.4.3", Text: "Mail exchangers of " + domain + " could not be looked up", Cause: err}
	case len(list) == 1 && list[0].Host == "":
		return nil, &mail.Status{Code: 556, Enhanced: "5.1.10", Text: "Domain " + domain + " takes no mail (null MX, RFC 7505)"}
	}
	sortExchanges(list)
	return t.resolve(ctx, list[:min(len(list), maxExchanges)], authentic)
}

// sortExchanges orders by preference, and equal ones at random.
func sortExchanges(list []dns.MX) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
}

// resolve looks up the addresses of exchangers. Where one of them is ourselves,
// it and all that are not better are passed over.
func (t *attempt) resolve(ctx context.Context, list []dns.MX, authentic bool) ([]host, error) {
	var hosts []host
	var fault error
	better := 0 // how many hosts stand before the present preference
	for i, mx := range list {
		if i > 0 && mx.Preference != list[i-1].Preference {
			better = len(hosts)
		}
		ips, signed, err := dns.LookupAddrs(ctx, t.cfg.Resolver, mx.Host)
		if mx.Host == t.cfg.HELO || slices.ContainsFunc(ips, t.isSelf) {
			if better == 0 {
				return nil, loops(t.to.Host)
			}
			return hosts[:better], nil
		}
		switch addrs := t.addresses(ips); {
		case err != nil && !dns.IsNone(err):
			fault = err
		case len(addrs) > 0:
			hosts = append(hosts, host{name: mx.Host, network: "tcp", addrs: addrs, isNamed: authentic, authentic: authentic && signed})
		}
	}
	switch {
	case len(hosts) > 0:
		return hosts, nil
	case fault != nil:
		return nil, &mail.Status{Code: 451, Enhanced: "4.4.3", Text: "Addresses of the mail exchangers of " + t.to.Host + " could not be looked up", Cause: fault}
	}
	return nil, &mail.Status{Code: 550, Enhanced: "5.4.4", Text: "No mail exchanger of " + t.to.Host + " has an address"}
}

func loops(domain string) error {
	return &mail.Status{Code: 554, Enhanced: "5.4.6", Text: "Mail for " + domain + " loops back to this host"}
}

func (t *attempt) isSelf(ip netip.Addr) bool { return t.cfg.IsSelf != nil && t.cfg.IsSelf(ip) }

// addresses shuffles within each family and takes the families in turn, so
// that a family that does not work here cannot use up all the tries.
func (t *attempt) addresses(ips []netip.Addr) []string {
	ips = slices.DeleteFunc(slices.Clone(ips), func(ip netip.Addr) bool { return ip.IsUnspecified() || ip.IsMulticast() })
	rand.Shuffle(len(ips), func(i, j int) { ips[i], ips[j] = ips[j], ips[i] })
	var six, four, list []string
	for _, ip := range ips {
		if ip.Is4() {
			four = append(four, t.address(ip))
		} else {
			six = append(six, t.address(ip))
		}
	}
	for i := range max(len(six), len(four)) {
		list = append(list, six[min(i, len(six)):min(i+1, len(six))]...)
		list = append(list, four[min(i, len(four)):min(i+1, len(four))]...)
	}
	return list
}

func (t *attempt) address(ip netip.Addr) string {
	port := t.to.Port
	switch {
	case port != 0:
	case t.to.Transport == "lmtp":
		port = 24
	default:
		port = t.cfg.Port
	}
	return "[" + ip.String() + "]:" + strconv.Itoa(int(port))
}
