package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"gomaild/internal/dns"
)

// ErrForbidden is a web server at an address that a stranger's DNS must not lead
// us to: loopback, a private network, this link.
var ErrForbidden = errors.New("MTA-STS policy at an address that is not of the Internet")

// Transport fetches from hosts of the Internet only, over TLS, without proxies
// and without keeping connections. allow admits other addresses, for tests; nil
// is none.
func Transport(r dns.Resolver, allow func(netip.Addr) bool) *http.Transport {
	d := &net.Dialer{Timeout: fetchWait / 4}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			addrs, _, err := dns.LookupAddrs(ctx, r, host)
			if err != nil {
				return nil, err
			}
			err = fmt.Errorf("%s: %w", host, ErrForbidden)
			for _, a := range addrs[:min(len(addrs), 4)] {
				if !isPublic(a) && (allow == nil || !allow(a)) {
					continue
				}
				var conn net.Conn
				if conn, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    fetchWait / 4,
		ResponseHeaderTimeout:  fetchWait / 4,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true, // what is small must be small unpacked
		ForceAttemptHTTP2:      false,
		IdleConnTimeout:        time.Second,
	}
}

// shared is what only looks public: carrier NAT (RFC 6598), protocol assignments,
// documentation, benchmarks, reserved, and IPv4 within IPv6.
var shared = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001:db8::/32"),
}

func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range shared {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
