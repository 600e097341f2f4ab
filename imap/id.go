package imap

import (
	"context"
	"net/netip"
	"strings"
)

// maxIDFields: RFC 2971 section 3.3, not more than 30 fields.
const maxIDFields = 30

// identify is ID, RFC 2971. It is allowed before login, as the RFC says and as
// clients do.
type identify struct {
	fields []string // names and values in turns
}

func parseID(g *grammar) request {
	var r identify
	g.SP()
	if g.Peek() != '(' {
		g.NString()
		g.End()
		return r
	}
	g.List(func() {
		name := g.String()
		g.SP()
		value, _ := g.NString()
		r.fields = append(r.fields, name, value)
		if len(r.fields) > 2*maxIDFields {
			g.Fail("more than %d fields in ID", maxIDFields)
		}
	})
	g.End()
	return r
}

func (r identify) run(_ context.Context, s *session) (reply, error) {
	s.log.Debug("client identifies itself", "id", r.fields)
	if s.state == notAuthenticated && s.isTrusted() {
		r.believe(s)
	}
	s.enc.Raw(`* ID ("name" "gomaild")`)
	s.enc.CRLF()
	return reply{}, nil
}

// believe takes the address of webmail's user from its ID, under the name that
// Dovecot's login_trusted_networks made known: the throttle and the log of the
// login are about that user, not about all who use webmail.
func (r identify) believe(s *session) {
	for i := 0; i+1 < len(r.fields); i += 2 {
		if !strings.EqualFold(r.fields[i], "x-originating-ip") {
			continue
		}
		if a, err := netip.ParseAddr(r.fields[i+1]); err == nil && a.Zone() == "" {
			s.origin = a.Unmap()
			s.log = s.log.With("origin", s.origin)
		}
	}
}
