package mail

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
	Port uint16 // 0 where there is none
}

// ParseNextHop reads "host", "host:port", "[host]" or "[host]:port"; port is a
// number, or the name of a mail service. ErrNextHop.
func ParseNextHop(s string) (hop NextHop, err error) {
	host, rest := s, ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok = strings.Cut(inner, "]")
		if !ok {
			return NextHop{}, ErrNextHop
		}
		hop.NoMX = true
		if len(host) > 5 && strings.EqualFold(host[:5], "IPv6:") {
			host = host[5:]
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	if rest != "" {
		service, ok := strings.CutPrefix(rest, ":")
		if hop.Port = servicePort(service); !ok || hop.Port == 0 {
			return NextHop{}, ErrNextHop
		}
	}
	hop.Host = strings.ToLower(host)
	if ip, err := netip.ParseAddr(hop.Host); err == nil && ip.Zone() == "" {
		hop.Host = ip.String()
		return hop, nil
	}
	if hop.Host, err = ParseDomain(host); err != nil || strings.HasPrefix(hop.Host, "[") {
		return NextHop{}, ErrNextHop
	}
	return hop, nil
}

// servicePort is 0 for what is neither a port nor a service of mail.
func servicePort(s string) uint16 {
	switch s {
	case "smtp":
		return 25
	case "lmtp":
		return 24
	case "smtps", "submissions":
		return 465
	case "submission":
		return 587
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// String is the next hop as ParseNextHop reads it, and as tables of next hops
// have it for a key.
func (h NextHop) String() string {
	s := h.Host
	if h.NoMX {
		s = "[" + s + "]"
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}
