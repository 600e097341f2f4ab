package imap

import "context"

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
	s.enc.Raw(`* ID ("name" "gomaild")`)
	s.enc.CRLF()
	return reply{}, nil
}
