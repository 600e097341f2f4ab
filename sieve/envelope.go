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
			local, domain := splitPath(v)
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
// local part too.
func splitPath(s string) (local, domain string) {
	s = strings.TrimSpace(s)
	s = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	if strings.HasPrefix(s, "@") {
		if _, after, ok := strings.Cut(s, ":"); ok {
			s = after
		}
	}
	if a, err := mail.ParseAddress(s); err == nil {
		at := strings.LastIndexByte(s, '@')
		return a.Local, s[at+1:]
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s, ""
	}
	return s[:at], s[at+1:]
}
