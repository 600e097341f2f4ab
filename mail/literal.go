package mail

import (
	"fmt"
	"net/netip"
	"strings"
)

// parseLiteral reads an address literal of RFC 5321 section 4.1.3, [192.0.2.1]
// or [IPv6:2001:db8::1], and returns it in one spelling.
func parseLiteral(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", fmt.Errorf("address literal %q: %w", s, ErrSyntax)
	}
	text, v6 := inner, false
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		text, v6 = inner[5:], true
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || ip.Is4() == v6 {
		return "", fmt.Errorf("address literal %q: %w", s, ErrSyntax)
	}
	return AddrLiteral(ip), nil
}

// AddrLiteral writes an IP address as an RFC 5321 address literal with its
// brackets, for Received fields and EHLO.
func AddrLiteral(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}
