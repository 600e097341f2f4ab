package sieve

import (
	"strings"
)

// buildEnvironment is RFC 5183 section 4.
func buildEnvironment(c *checker, n *call) any {
	name := c.string(n.args[0])
	match := c.match(n, n.args[1])
	return asks(func(m *machine) (bool, error) {
		item, err := name.value(m)
		if err != nil {
			return false, err
		}
		v, ok := m.environment(strings.ToLower(item))
		if !ok {
			return false, nil // RFC 5183 section 4: an unknown item fails, whatever it is asked
		}
		return match.over(m, func(yield func(string) bool) error {
			if v != "" || match.kind != matchCount {
				yield(v)
			}
			return nil
		})
	})
}

// environment is one item: RFC 5183 section 4.1.
func (m *machine) environment(name string) (string, bool) {
	switch name {
	case "name":
		return "gomaild", true
	case "version":
		return m.engine.version, true
	case "location":
		if m.env.IMAP {
			return "MS", true // RFC 6785 section 4.1: a message store
		}
		if v, ok := m.env.Items[name]; ok {
			return v, true
		}
		return "MDA", true // RFC 5183: a delivery agent
	case "phase":
		if m.env.IMAP {
			return "post", true
		}
		return "during", true
	}
	if strings.HasPrefix(name, "imap.") {
		switch name {
		case "imap.user", "imap.email", "imap.cause", "imap.mailbox", "imap.changedflags":
			return m.env.Items[name], true // RFC 6785 section 4: empty where nothing happened in IMAP
		}
	}
	if key, ok := strings.CutPrefix(name, "vnd.dovecot.config."); ok {
		v, ok := m.env.Config[key]
		return v, ok
	}
	v, ok := m.env.Items[name]
	return v, ok
}
