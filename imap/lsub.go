package imap

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// lsub is LSUB, RFC 3501 section 6.3.9.
type lsub struct{ pattern string }

func parseLsub(g *grammar) request {
	var r list
	g.SP()
	reference := g.ListMailbox()
	g.SP()
	r.addPattern(g, reference)
	g.End()
	return lsub{strings.Join(r.patterns, "")} // there is one at most
}

func (r lsub) run(ctx context.Context, s *session) (reply, error) {
	names, err := s.account.Subscriptions(ctx)
	if err != nil {
		return reply{}, err
	}
	// A name that does not match, but whose parent does, shows the parent with
	// \Noselect: so the RFC wants it for "%".
	shown := map[string][]string{}
	for _, name := range names {
		if matches(r.pattern, name) {
			shown[name] = nil
			continue
		}
		if !strings.HasSuffix(r.pattern, "%") {
			continue
		}
		for parent := range ancestors(name) {
			if matches(r.pattern, parent) && !slices.Contains(names, parent) {
				shown[parent] = []string{`\Noselect`}
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		s.printMailbox("LSUB", name, shown[name], false)
	}
	return reply{}, nil
}
