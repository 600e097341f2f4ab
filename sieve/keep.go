package sieve

// keep is RFC 5228 section 4.3.
type keep struct {
	pos   Pos
	flags *texts
}

func buildKeep(c *checker, n *call) any { return &keep{n.pos, c.flagsTag(n)} }

// flagsTag is the :flags tag, nil without one.
func (c *checker) flagsTag(n *call) *texts {
	a, ok := n.tags["flags"]
	if !ok {
		return nil
	}
	t := c.texts(a)
	return &t
}

func (k *keep) exec(m *machine) error {
	m.cancelKeep()
	a := Action{Kind: Keep, Pos: k.pos}
	if err := m.putFlags(&a, k.flags); err != nil {
		return err
	}
	return m.add(a)
}

// discard is RFC 5228 section 4.4.
type discard struct{ pos Pos }

func buildDiscard(_ *checker, n *call) any { return &discard{n.pos} }

func (d *discard) exec(m *machine) error {
	m.cancelKeep()
	return m.add(Action{Kind: Discard, Pos: d.pos})
}
