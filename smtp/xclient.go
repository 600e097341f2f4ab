package smtp

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gomaild/auth"
	"gomaild/internal/peer"
	"gomaild/mail"
)

// XCLIENT and XFORWARD are Postfix's (XCLIENT_README, XFORWARD_README): a front
// end that we trust says whose session this really is, and a content filter
// where a message came from. Values are xtext; [UNAVAILABLE] and [TEMPUNAVAIL]
// stand for what is not known.

// The attributes that are offered, as EHLO names them.
var (
	xclientNames  = []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"}
	xforwardNames = []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"}
)

// Replies to XCLIENT and XFORWARD.
var (
	errXSyntax  = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: attribute=value ..., values in xtext"}
	errXRefused = &mail.Status{Code: 550, Enhanced: "5.7.0", Text: "Insufficient authorization"}
)

// attributes are those of one command, by name in upper case; a value that is
// not known is "".
type attributes map[string]string

func parseXClient(arg string) (attributes, error) {
	return parseAttributes(arg, xclientNames, isAttribute)
}

func parseXForward(arg string) (attributes, error) {
	return parseAttributes(arg, xforwardNames, isForwarded)
}

func parseAttributes(arg string, names []string, is func(name, value string) bool) (attributes, error) {
	a := attributes{}
	for word := range strings.FieldsSeq(arg) {
		name, coded, found := strings.Cut(word, "=")
		name = strings.ToUpper(name)
		value, err := decodeXtext(coded)
		if _, twice := a[name]; !found || err != nil || twice || !slices.Contains(names, name) {
			return nil, errXSyntax
		}
		if up := strings.ToUpper(value); up == "[UNAVAILABLE]" || up == "[TEMPUNAVAIL]" {
			value = ""
		}
		if !is(name, value) {
			return nil, errXSyntax
		}
		a[name] = value
	}
	if len(a) == 0 {
		return nil, errXSyntax
	}
	return a, nil
}

// isAttribute reports that a value is one of its attribute.
func isAttribute(name, value string) bool {
	if value == "" {
		return true
	}
	switch name {
	case "ADDR", "DESTADDR":
		return parseXAddr(value).IsValid()
	case "PORT", "DESTPORT":
		_, err := strconv.ParseUint(value, 10, 16)
		return err == nil
	case "PROTO":
		return value == "SMTP" || value == "ESMTP"
	case "HELO":
		_, err := parseHelo(value)
		return err == nil
	case "LOGIN":
		_, err := mail.ParseAddress(value)
		return err == nil
	}
	return len(value) <= mail.MaxDomain
}

// isForwarded is isAttribute for XFORWARD, which tells what another server heard:
// a client there may have named itself with anything, and come by QMQP.
func isForwarded(name, value string) bool {
	switch name {
	case "HELO", "PROTO":
		return len(value) <= mail.MaxDomain
	case "SOURCE":
		return value == "" || strings.EqualFold(value, "LOCAL") || strings.EqualFold(value, "REMOTE")
	}
	return isAttribute(name, value)
}

// parseXAddr reads an address as Postfix writes it: IPv6 has a prefix.
func parseXAddr(s string) netip.Addr {
	if rest, ok := cutPrefixFold(s, "IPV6:"); ok {
		s = rest
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

func parseXPort(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// mayXClient asks for the real peer, whatever it has said to be since.
func (s *session) mayXClient() bool {
	return peer.In(s.srv.cfg.XClientNetworks, peer.Addr(s.wire.conn.RemoteAddr()))
}

// xclient makes the session that of another client, and begins it again: what
// that client may do is found out anew, and EHLO must come.
func (s *session) xclient(ctx context.Context, a attributes) error {
	if !s.mayXClient() {
		return errXRefused
	}
	s.abort()
	s.state, s.extended = stateStart, false
	c := &s.client
	c.Helo, c.Identity = a["HELO"], nil
	if v, said := a["ADDR"]; said {
		c.Addr, c.Port = parseXAddr(v), 0
		s.trusted = peer.In(s.srv.cfg.TrustedNetworks, c.Addr)
	}
	if v, said := a["PORT"]; said {
		c.Port = parseXPort(v)
	}
	if v, said := a["DESTADDR"]; said {
		c.LocalAddr = netip.AddrPortFrom(parseXAddr(v), c.LocalAddr.Port())
	}
	if v, said := a["DESTPORT"]; said {
		c.LocalAddr = netip.AddrPortFrom(c.LocalAddr.Addr(), parseXPort(v))
	}
	if login, err := mail.ParseAddress(a["LOGIN"]); err == nil {
		c.Identity = &auth.Identity{Account: login, MaySend: true}
	}
	s.log = s.srv.log.With("session", c.Session, "client", c.Addr)
	if err := s.admit(ctx); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	s.reply(220, "", s.hostname()+" "+s.srv.cfg.Greeting)
	return nil
}

// xforward notes where the next message came from, for the log.
func (s *session) xforward(_ context.Context, a attributes) error {
	if !s.mayXClient() {
		return errXRefused
	}
	if v, said := a["ADDR"]; said {
		s.client.ForwardedFor = parseXAddr(v)
	}
	s.log.Info("forwarded", "name", a["NAME"], "addr", s.client.ForwardedFor, "helo", a["HELO"], "ident", a["IDENT"])
	s.reply(250, "2.0.0", "Ok")
	return nil
}
