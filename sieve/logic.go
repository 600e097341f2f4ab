package sieve

// constant is true and false: RFC 5228 sections 5.10 and 5.3.
type constant bool

func buildTrue(*checker, *call) any  { return constant(true) }
func buildFalse(*checker, *call) any { return constant(false) }

func (k constant) eval(*machine) (bool, error) { return bool(k), nil }

// constantOf is the value of a test that needs no message to be known.
func constantOf(t test) (value, known bool) {
	switch t := t.(type) {
	case constant:
		return bool(t), true
	case not:
		value, known = constantOf(t.test)
		return !value, known
	case allof:
		return constantList(t.tests, false)
	case anyof:
		return constantList(t.tests, true)
	}
	return false, false
}

// constantList is decided by one test of the deciding value, or by all of the
// other.
func constantList(tests []test, deciding bool) (value, known bool) {
	all := true
	for _, t := range tests {
		v, ok := constantOf(t)
		if ok && v == deciding {
			return deciding, true
		}
		all = all && ok
	}
	return !deciding, all
}

// not is RFC 5228 section 5.8.
type not struct {
	pos  Pos
	test test
}

func buildNot(_ *checker, n *call) any { return not{n.pos, n.subtests[0]} }

func (t not) eval(m *machine) (bool, error) {
	v, err := m.eval(t.pos, t.test)
	return !v, err
}

// allof is RFC 5228 section 5.2; what decides ends it.
type allof struct {
	pos   Pos
	tests []test
}

func buildAllof(_ *checker, n *call) any { return allof{n.pos, n.subtests} }

func (t allof) eval(m *machine) (bool, error) { return firstThat(m, t.pos, t.tests, false) }

// anyof is RFC 5228 section 5.3.
type anyof struct {
	pos   Pos
	tests []test
}

func buildAnyof(_ *checker, n *call) any { return anyof{n.pos, n.subtests} }

func (t anyof) eval(m *machine) (bool, error) { return firstThat(m, t.pos, t.tests, true) }

// firstThat evaluates tests until one is the deciding value.
func firstThat(m *machine, pos Pos, tests []test, deciding bool) (bool, error) {
	for _, t := range tests {
		v, err := m.eval(pos, t)
		if err != nil || v == deciding {
			return v, err
		}
	}
	return !deciding, nil
}
