package sieve

// buildIhave is RFC 5463 section 4: it puts the extensions in force if all of
// them are there, and a block behind one that is not there is not looked at.
func buildIhave(c *checker, n *call) any {
	all := true
	for _, s := range n.args[0].strs {
		if _, ok := c.text(s).constant(); !ok {
			c.errorf(s.pos, "the ihave test takes constant strings only")
			return nil
		}
		if !c.offers(s.text) || s.text == "variables" || s.text == "encoded-character" {
			all = false // those two change how a script reads
		}
	}
	if all {
		for _, s := range n.args[0].strs {
			c.takeIn(s.pos, s.text)
		}
	}
	return constant(all)
}

// buildError is RFC 5463 section 5: a run-time error with the script's text.
func buildError(c *checker, n *call) any {
	reason := c.string(n.args[0])
	return does(func(m *machine) error {
		s, err := reason.value(m)
		if err != nil {
			return err
		}
		return m.failAt(n.pos, "%s", shorten(s))
	})
}
