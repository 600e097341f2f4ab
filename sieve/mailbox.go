package sieve

// buildMailboxexists is RFC 5490 section 3.1.
func buildMailboxexists(c *checker, n *call) any {
	names := c.texts(n.args[0])
	return allOf(names, func(m *machine, name string) bool {
		return isMailboxName(name) && m.env.MailboxExists != nil && m.env.MailboxExists(name)
	})
}

// buildMailboxidexists is RFC 9042 section 5.
func buildMailboxidexists(c *checker, n *call) any {
	return allOf(c.texts(n.args[0]), func(m *machine, id string) bool {
		return m.env.MailboxID != nil && m.env.MailboxID(id)
	})
}

// allOf asks the same of each string.
func allOf(list texts, ask func(m *machine, s string) bool) asks {
	return allOfOr(list, func(m *machine, s string) (bool, error) { return ask(m, s), nil })
}

// allOfOr is allOf where an answer may be a fault.
func allOfOr(list texts, ask func(m *machine, s string) (bool, error)) asks {
	return func(m *machine) (bool, error) {
		values, err := list.values(m)
		if err != nil {
			return false, err
		}
		for _, v := range values {
			if err := m.spend(m.at, 10); err != nil {
				return false, err
			}
			if ok, err := ask(m, v); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	}
}
