package sieve

import "strings"

// buildMetadata is metadata of mboxmetadata and servermetadata: RFC 5490
// sections 4 and 5. The server's has no mailbox.
func buildMetadata(c *checker, n *call) any {
	args := n.args
	var box *text
	if len(args) == 3 {
		b := c.string(args[0])
		box, args = &b, args[1:]
	}
	entry, match := c.string(args[0]), c.match(n, args[1])
	return asks(func(m *machine) (bool, error) {
		name, err := m.optional(box)
		if err != nil {
			return false, err
		}
		e, err := entry.value(m)
		if err != nil {
			return false, err
		}
		v, ok := m.env.metadata(name, e)
		if !ok {
			return false, nil
		}
		return match.over(m, func(yield func(string) bool) error { yield(v); return nil })
	})
}

// buildMetadataexists asks for all of the entries.
func buildMetadataexists(c *checker, n *call) any {
	args := n.args
	box := text{}
	if len(args) == 2 {
		box, args = c.string(args[0]), args[1:]
	}
	entries := c.texts(args[0])
	return asks(func(m *machine) (bool, error) {
		name, err := box.value(m)
		if err != nil {
			return false, err
		}
		return allOf(entries, func(m *machine, e string) bool {
			_, ok := m.env.metadata(name, e)
			return ok
		})(m)
	})
}

func (e *Env) metadata(mailbox, entry string) (string, bool) {
	if e.Metadata == nil {
		return "", false
	}
	return e.Metadata(mailbox, entry)
}

// buildSpecialuse is specialuse_exists: RFC 8579 section 3.
func buildSpecialuse(c *checker, n *call) any {
	var box *text
	if n.args[0].kind != argNone {
		b := c.string(n.args[0])
		box = &b
	}
	uses := c.texts(n.args[1])
	for _, u := range uses {
		c.isUse(n, u)
	}
	return asks(func(m *machine) (bool, error) {
		name, err := m.optional(box)
		if err != nil {
			return false, err
		}
		return allOf(uses, func(m *machine, use string) bool {
			return m.env.SpecialUse != nil && m.env.SpecialUse(name, use)
		})(m)
	})
}

// isUse complains of what is no special-use flag: RFC 6154 section 6.
func (c *checker) isUse(n *call, use text) {
	s, ok := use.constant()
	if name, flagged := strings.CutPrefix(s, `\`); ok && (!flagged || name == "" || !isFlag(name)) {
		c.errorf(use.pos, "invalid special-use flag '%s' specified for the %s %s", shorten(s), n.name, n.spec.kind())
	}
}

// buildDebugLog is debug_log of vnd.dovecot.debug: a line for whoever watches.
func buildDebugLog(c *checker, n *call) any {
	message := c.string(n.args[0])
	return does(func(m *machine) error {
		s, err := message.value(m)
		if err == nil && m.env.Debug != nil {
			m.env.Debug(n.pos, s)
		}
		return err
	})
}
