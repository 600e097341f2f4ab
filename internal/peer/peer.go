// Package peer says who a remote address belongs to, for everything that is
// counted per client: connections, failed logins, rates.
package peer

import (
	"net"
	"net/netip"
)

// subscriberBits is the part of an IPv6 address that a provider gives to one
// customer (RFC 6177 section 2): whoever has one address of it has them all.
const subscriberBits = 64

// Addr is the IP address of a connection's end, without zone and with an IPv4
// address in its own form. It is the zero Addr where there is none, as on a
// unix socket.
func Addr(a net.Addr) netip.Addr {
	var ip netip.Addr
	switch a := a.(type) {
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	}
	return ip.Unmap().WithZone("")
}

// Network is what counts as one client: an IPv4 address, or the /64 around an
// IPv6 address. It is the zero Prefix for the zero Addr.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = subscriberBits
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// In reports whether one of the networks holds a.
func In(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
