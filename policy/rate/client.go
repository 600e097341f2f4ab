package rate

import (
	"net/netip"

	"gomaild/internal/peer"
)

// What a site has of the address space: who sends from many addresses has them
// close together. 48 bits are RFC 6177's usual most.
const (
	siteBits4 = 24
	siteBits6 = 48
)

// Client is the key of an address as one client: the address, or the /64 around
// an IPv6 address. It is "" for the zero Addr, which is nobody's.
func Client(a netip.Addr) string { return text(peer.Network(a)) }

// Site is the key of the IPv4 /24 or IPv6 /48 around an address, "" for the
// zero Addr.
func Site(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := siteBits4
	if a.Is6() {
		bits = siteBits6
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return text(p)
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
