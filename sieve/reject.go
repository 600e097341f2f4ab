package sieve

// reject is reject and ereject: RFC 5429.
type reject struct {
	pos    Pos
	reason text
}

func buildReject(c *checker, n *call) any { return &reject{n.pos, c.string(n.args[0])} }

func (r *reject) exec(m *machine) error {
	reason, err := r.reason.value(m)
	if err != nil {
		return err
	}
	m.cancelKeep()
	return m.add(Action{Kind: Reject, Pos: r.pos, Reason: reason})
}
