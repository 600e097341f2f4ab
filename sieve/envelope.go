package sieve

import (
	"strings"

	"gomaild/mail"
)

// envelope is RFC 5228 section 5.4.
type envelope struct {
	parts texts
	match match
	part  addressPart
}

func buildEnvelope(c *checker, n *call) any {
	for _, s := range n.args[0].strs {
		fixed, ok := c.text(s).constant()
		if !ok {
			continue
		}
		switch mail.FoldASCII(fixed) {
		case "from", "to", "auth", "orig_to":
		default:
			c.errorf(s.pos, "specified envelope part '%s' is not supported by the envelope test", shorten(fixed))
		}
	}
	return &envelope{parts: c.texts(n.args[0]), match: c.match(n, n.args[1]), part: c.addressPart(n)}
}

func (t *envelope) eval(m *machine) (bool, error) {
	if m.env.IMAP { // RFC 6785 section 4.6
		return false, m.failAt(t.match.pos, "the envelope test cannot be used at an event of IMAP: there is no envelope")
	}
	return t.match.over(m, func(yield func(string) bool) error {
		parts, err := t.parts.values(m)
		if err != nil {
			return err
		}
		for _, p := range parts {
			v, ok := m.envelope(p)
			if !ok || v == "" && t.match.kind == matchCount {
				continue // RFC 5231 section 4.2: a null reverse-path counts as none
			}
			local, domain, ok := splitPath(v)
			if !ok {
				continue
			}
			if v, ok := t.part(m.engine.delimiter, local, domain); ok && !yield(v) {
				return nil
			}
		}
		return nil
	})
}

// envelope is one part of the envelope.
func (m *machine) envelope(part string) (string, bool) {
	switch mail.FoldASCII(part) {
	case "from":
		return m.env.From, true
	case "to":
		return m.env.To, true
	case "orig_to":
		if m.env.OrigTo == "" {
			return m.env.To, m.env.To != ""
		}
		return m.env.OrigTo, true
	case "auth":
		return m.env.Auth, m.env.Auth != ""
	}
	return "", false
}

// splitPath takes a path apart: brackets and a source route go, quotes of the
// local part too. It is false for what is no path.
func splitPath(s string) (local, domain string, ok bool) {
	path, opened := strings.CutPrefix(strings.TrimSpace(s), "<")
	path, closed := strings.CutSuffix(path, ">")
	if opened != closed {
		return "", "", false
	}
	if strings.HasPrefix(path, "@") {
		route, after, ok := strings.Cut(path, ":")
		if !ok || !isSourceRoute(route) {
			return "", "", false
		}
		path = after
	}
	if local, domain, err := scanMailbox(path); err == nil {
		return local, domain, true
	}
	return path, "", !strings.ContainsAny(path, "@<>: ")
}

// isSourceRoute is A-d-l of RFC 5321 section 4.1.2.
func isSourceRoute(s string) bool {
	for hop := range strings.SplitSeq(s, ",") {
		domain, ok := strings.CutPrefix(hop, "@")
		if _, err := mail.ParseDomain(domain); !ok || err != nil {
			return false
		}
	}
	return true
}
