package imap

import "context"

// enable is ENABLE, RFC 5161. No extension that is served yet changes what a
// client hears unasked, so nothing needs enabling: unknown names are passed
// over, as section 3.1 wants.
type enable struct{}

func parseEnable(g *grammar) request {
	g.SP()
	g.Atom()
	for g.Accept(' ') {
		g.Atom()
	}
	g.End()
	return enable{}
}

func (enable) run(_ context.Context, s *session) (reply, error) {
	s.enc.Raw("* ENABLED\r\n")
	return reply{}, nil
}
