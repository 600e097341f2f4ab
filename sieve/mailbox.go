package sieve

// buildMailboxexists is RFC 5490 section 3.1.
func buildMailboxexists(c *checker, n *call) any {
	names := c.texts(n.args[0])
	return allOf(names, func(m *machine, name string) bool {
		return isMailboxName(name) && m.env.MailboxExists != nil && m.env.MailboxExists(name)
	})
}

// allOf asks the same of each string.
func allOf(list texts, ask func(m *machine, s string) bool) asks {
	return func(m *machine) (bool, error) {
		values, err := list.values(m)
		if err != nil {
			return false, err
		}
		for _, v := range values {
			if err := m.spend(m.at, 10); err != nil {
				return false, err
			}
			if !ask(m, v) {
				return false, nil
			}
		}
		return true, nil
	}
}
