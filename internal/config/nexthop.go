package config

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ErrNextHop is a next hop that cannot be read.
var ErrNextHop = errors.New("not a next hop")

// NextHop is where mail goes next, as Postfix writes it.
type NextHop struct {
	Host string // domain, host name or address, in lower case
	NoMX bool   // it stood in brackets: a host, not a mail domain
}

// SplitNextHop reads "host", "host:port", "[host]" or "[host]:port"; port is 0
// where there is none. ErrNextHop.
func SplitNextHop(s string) (hop NextHop, port uint16, err error) {
	host, rest := s, ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok = strings.Cut(inner, "]")
		if !ok {
			return NextHop{}, 0, ErrNextHop
		}
		hop.NoMX = true
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	if rest != "" {
		digits, ok := strings.CutPrefix(rest, ":")
		n, err := strconv.ParseUint(digits, 10, 16)
		if !ok || err != nil || n == 0 {
			return NextHop{}, 0, ErrNextHop
		}
		port = uint16(n)
	}
	hop.Host = strings.ToLower(host)
	if _, err := netip.ParseAddr(hop.Host); err != nil && !isDomain(hop.Host) {
		return NextHop{}, 0, ErrNextHop
	}
	return hop, port, nil
}
