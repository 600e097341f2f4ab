package sieve

import "context"

// withFile is a test whose argument is a script's file name.
func withFile(c *checker, n *call, f func(m *machine, name string) (bool, error)) any {
	file := c.string(n.args[0])
	return asks(func(m *machine) (bool, error) {
		name, err := file.value(m)
		if err != nil {
			return false, err
		}
		return f(m, name)
	})
}

func buildTestScriptCompile(c *checker, n *call) any {
	return withFile(c, n, func(m *machine, name string) (bool, error) {
		script, err := m.suite.compile(m, name)
		m.suite.script = script
		return m.suite.problem(err), nil
	})
}

func buildTestScriptRun(_ *checker, n *call) any {
	keepResult := n.has("append_result")
	return asks(func(m *machine) (bool, error) {
		if m.suite.script == nil {
			return false, m.failAt(n.pos, "no script is compiled")
		}
		if !keepResult {
			m.resetResult()
			m.suite.flags, m.suite.hasFlags = nil, false
		}
		if !m.suite.problem(m.nested(m.suite.script)) {
			return false, nil
		}
		for _, p := range m.result.Problems {
			m.suite.problems = append(m.suite.problems, p.Text)
		}
		return true, nil
	})
}

// nested runs a script under test in the world of the test script.
func (m *machine) nested(s *Script) error {
	inner := *m
	inner.budget = m.limits.Instructions
	inner.matches = nil
	inner.flags, inner.hasFlags = m.suite.flags, m.suite.hasFlags
	inner.globals = map[string]string{}
	inner.included = map[*Script]bool{}
	if m.suite.time > 0 {
		var end func()
		inner.ctx, end = context.WithTimeout(m.ctx, m.suite.time)
		defer end()
	}
	err := inner.script(s)
	m.result, m.cancelled, m.executed = inner.result, inner.cancelled, inner.executed
	m.msg = inner.msg
	m.suite.flags, m.suite.hasFlags = inner.flags, inner.hasFlags
	if err != nil {
		m.resetResult()
	}
	return err
}

func buildTestMultiscript(c *checker, n *call) any {
	files := c.texts(n.args[0])
	return asks(func(m *machine) (bool, error) {
		names, err := files.values(m)
		if err != nil {
			return false, err
		}
		m.resetResult()
		m.suite.flags, m.suite.hasFlags = nil, false
		for _, name := range names {
			script, err := m.suite.compile(m, name)
			if err == nil {
				err = m.nested(script)
			}
			if !m.suite.problem(err) {
				return false, nil
			}
			if !m.result.Keeps() {
				break
			}
		}
		return m.suite.problem(m.suite.deliver(m)), nil
	})
}

func buildTestResultExecute(*checker, *call) any {
	return asks(func(m *machine) (bool, error) {
		return m.suite.problem(m.suite.deliver(m)), nil
	})
}

func buildTestResultAction(c *checker, n *call) any {
	return overList(c, n, func(m *machine) []string {
		var names []string
		for _, a := range once(m.result.Actions) {
			names = append(names, a.Kind.String())
		}
		return names
	})
}

func buildTestError(c *checker, n *call) any {
	return overList(c, n, func(m *machine) []string { return m.suite.problems })
}

// overList matches the keys with a list, or with the item of :index.
func overList(c *checker, n *call, list func(m *machine) []string) any {
	match := c.match(n, n.args[0])
	which := selection{}
	if a, ok := n.tags["index"]; ok {
		which.index = int(min(a.num, 1<<30))
	}
	return asks(func(m *machine) (bool, error) {
		return match.over(m, func(yield func(string) bool) error {
			for _, v := range choose(which, list(m)) {
				if !yield(v) {
					break
				}
			}
			return nil
		})
	})
}
