package peer

import (
	"net"
	"net/netip"
	"testing"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ rule, addr, want string }{
		{"an IPv4 address is one client", "192.0.2.7", "192.0.2.7/32"},
		{"an IPv4 address in IPv6 clothes is the same client", "::ffff:192.0.2.7", "192.0.2.7/32"},
		{"an IPv6 client is its /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"a zone does not make another client", "fe80::1%eth0", "fe80::/64"},
	} {
		if got := Network(netip.MustParseAddr(tc.addr)).String(); got != tc.want {
			t.Errorf("%s: Network(%s) = %s, want %s", tc.rule, tc.addr, got, tc.want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: Network = %v, want the zero Prefix", got)
	}
}

func TestAddr(t *testing.T) {
	t.Parallel()
	tcp := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[::ffff:192.0.2.7]:25"))
	if got := Addr(tcp).String(); got != "192.0.2.7" {
		t.Errorf("Addr(%v) = %s", tcp, got)
	}
	if got := Addr(&net.UnixAddr{Name: "@", Net: "unix"}); got.IsValid() {
		t.Errorf("unix socket: Addr = %v, want none", got)
	}
}

func TestIn(t *testing.T) {
	t.Parallel()
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	if !In(networks, netip.MustParseAddr("::ffff:192.0.2.7")) {
		t.Error("an IPv4-mapped address is not found in its IPv4 network")
	}
	if In(networks, netip.Addr{}) || In(nil, netip.MustParseAddr("192.0.2.7")) {
		t.Error("no address or no network is a match")
	}
}
