package sieve

// redirect is RFC 5228 section 4.2.
type redirect struct {
	pos     Pos
	address text
	copy    bool
	list    bool // address is the name of a list (RFC 6134)
}

func buildRedirect(c *checker, n *call) any {
	r := &redirect{pos: n.pos, address: c.string(n.args[0]), copy: n.has("copy"), list: n.has("list")}
	if s, ok := r.address.constant(); ok && !r.list {
		if _, err := parseMailbox(s); err != nil {
			c.errorf(r.address.pos, "specified redirect address '%s' is invalid: %v", shorten(s), err)
		}
	}
	return r
}

func (r *redirect) exec(m *machine) error {
	s, err := r.address.value(m)
	if err != nil {
		return err
	}
	to := []string{s}
	if r.list {
		if to, err = m.listMembers(r.pos, s); err != nil {
			return err
		}
	}
	for _, one := range to {
		a, err := parseMailbox(one)
		if err != nil {
			return m.failAt(r.pos, "specified redirect address '%s' is invalid: %v", shorten(one), err)
		}
		if err := m.add(Action{Kind: Redirect, Pos: r.pos, Address: a.String()}); err != nil {
			return err
		}
	}
	if !r.copy {
		m.cancelKeep()
	}
	return nil
}
