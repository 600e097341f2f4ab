package sieve

import (
	"bytes"
	"errors"
	"fmt"
)

// does is a command of the test suite.
type does func(m *machine) error

func (f does) exec(m *machine) error { return f(m) }

// asks is a test of the test suite.
type asks func(m *machine) (bool, error)

func (f asks) eval(m *machine) (bool, error) { return f(m) }

// buildTest is one test: its block runs until test_fail, stop or an error.
func buildTest(c *checker, n *call) any {
	name := c.string(n.args[0])
	return does(func(m *machine) error {
		title, err := name.value(m)
		if err != nil {
			return err
		}
		s := m.suite
		m.budget, m.programs = m.limits.Instructions, 0
		s.problems = nil
		s.in = true
		err = n.body.exec(m)
		s.in = false
		m.budget = m.limits.Instructions
		switch {
		case err == nil || errors.Is(err, errStop):
			s.passed++
			s.config.Report("ok: " + title)
		case errors.Is(err, errTestFailed):
			s.failf("%s: %s: %v", n.pos, title, err)
		default:
			s.failf("%s: %v", title, err)
		}
		return nil
	})
}

func buildTestFail(c *checker, n *call) any {
	reason := c.string(n.args[0])
	return does(func(m *machine) error {
		s, err := reason.value(m)
		if err != nil {
			return err
		}
		return m.testFail(n.pos, s)
	})
}

// testFail ends the present test, or is a failed test of its own outside one.
func (m *machine) testFail(at Pos, text string) error {
	if !m.suite.in {
		m.suite.failf("%s: %s", at, text)
		return nil
	}
	return fmt.Errorf("line %d: %s: %w", at.Line, text, errTestFailed)
}

// withStrings is a command whose arguments are strings.
func withStrings(c *checker, n *call, f func(m *machine, args []string) error) any {
	args := make(texts, len(n.args))
	for i, a := range n.args {
		args[i] = c.string(a)
	}
	return does(func(m *machine) error {
		values, err := args.values(m)
		if err != nil {
			return err
		}
		return f(m, values)
	})
}

// buildTestSet changes the message or the envelope.
func buildTestSet(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, args []string) error {
		switch args[0] {
		case "message":
			m.setMessage([]byte(args[1]))
			m.flags, m.hasFlags = nil, false
			m.env.From, m.env.To, m.env.OrigTo = m.msg.address("From"), m.msg.address("To"), ""
		case "envelope.from":
			m.env.From = args[1]
		case "envelope.to":
			m.env.To, m.env.OrigTo = args[1], ""
		case "envelope.orig_to":
			m.env.OrigTo = args[1]
		case "envelope.auth":
			m.env.Auth = args[1]
		case "imap.user", "imap.email", "imap.cause", "imap.mailbox", "imap.changedflags":
			m.env.IMAP = args[1] != "" || args[0] != "imap.cause"
			if m.env.Items == nil {
				m.env.Items = map[string]string{}
			}
			m.env.Items[args[0]] = args[1]
		default:
			return m.failAt(n.pos, "unknown test object '%s'", args[0])
		}
		return nil
	})
}

func (m *machine) setMessage(raw []byte) {
	m.env.Message = bytes.NewReader(raw)
	m.msg = newContent(m.env.Message)
}

// buildTestMessage makes a message that was stored or sent the present one.
func buildTestMessage(c *checker, n *call) any {
	folder := c.optional(n, "folder")
	index := int(min(n.args[0].num, 1<<20))
	take := func(m *machine) (bool, error) {
		if folder == nil {
			if index >= len(m.suite.smtp) {
				return false, nil
			}
			s := m.suite.smtp[index]
			m.env.From, m.env.To, m.env.OrigTo = s.from, s.to, ""
			m.setMessage(s.content)
			return true, nil
		}
		name, err := folder.value(m)
		if err != nil || index >= len(m.suite.mailboxes[name]) {
			return false, err
		}
		msg := m.suite.mailboxes[name][index]
		m.flags = msg.flags
		m.setMessage(msg.content)
		return true, nil
	}
	if n.spec.isTest {
		return asks(take)
	}
	return does(func(m *machine) error {
		ok, err := take(m)
		if err == nil && !ok {
			return m.testFail(n.pos, fmt.Sprintf("no message with index %d", index))
		}
		return err
	})
}

func buildTestMailbox(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, args []string) error {
		if _, ok := m.suite.mailboxes[args[0]]; !ok {
			m.suite.mailboxes[args[0]] = nil
		}
		return nil
	})
}

// buildTestMailboxDelete removes a mailbox with its messages; that there is none
// is a fault of the suite.
func buildTestMailboxDelete(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, args []string) error {
		if _, ok := m.suite.mailboxes[args[0]]; !ok {
			return m.testFail(n.pos, "no mailbox "+args[0])
		}
		delete(m.suite.mailboxes, args[0])
		return nil
	})
}

func buildTestMessagePrint(*checker, *call) any {
	return does(func(m *machine) error {
		raw, err := m.msg.bytes()
		if err != nil {
			return err
		}
		m.suite.config.Report("message: " + string(raw))
		return nil
	})
}

func buildTestMetadata(c *checker, n *call) any {
	mailbox := c.optional(n, "mailbox")
	return withStrings(c, n, func(m *machine, args []string) error {
		box, err := m.optional(mailbox)
		m.suite.metadata[box+"\x00"+args[0]] = args[1]
		return err
	})
}

func buildTestConfigSet(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, args []string) error {
		m.suite.settings[args[0]] = args[1]
		return nil
	})
}

func buildTestConfigUnset(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, args []string) error {
		delete(m.suite.settings, args[0])
		return nil
	})
}

func buildTestConfigReload(*checker, *call) any {
	return does(func(m *machine) error {
		m.suite.reload(m)
		return nil
	})
}

func buildTestResultReset(*checker, *call) any {
	return does(func(m *machine) error {
		m.resetResult()
		m.suite.smtp = nil
		m.msg = newContent(m.env.Message)
		return nil
	})
}

func (m *machine) resetResult() {
	m.result, m.cancelled, m.executed = &Result{ImplicitKeep: true}, false, 0
}

func buildTestResultPrint(*checker, *call) any {
	return does(func(m *machine) error {
		for _, a := range m.result.Actions {
			m.suite.config.Report("action: " + a.String())
		}
		return nil
	})
}

// Scripts are compiled in memory and stay there: there is no file to save, so
// saving and loading give the same script back.
func buildTestBinarySave(c *checker, n *call) any {
	return withStrings(c, n, func(m *machine, _ []string) error {
		if m.suite.script == nil {
			return m.testFail(n.pos, "no script is compiled")
		}
		return nil
	})
}

func buildTestBinaryLoad(c *checker, n *call) any { return buildTestBinarySave(c, n) }
