package sieve

import (
	"slices"
	"strings"
)

// buildRequire puts extensions in force: RFC 5228 section 3.2.
func buildRequire(c *checker, n *call) any {
	for _, s := range n.args[0].strs {
		c.require(s)
	}
	return nil
}

func (c *checker) require(s str) {
	name := s.text
	if c.offers(name) {
		c.takeIn(s.pos, name)
		return
	}
	if c.engine.known[name] {
		c.errorf(s.pos, "require command: the Sieve capability '%s' is reserved to the administrator's scripts", name)
		return
	}
	if slices.Contains(c.engine.place.foreign(), name) {
		c.errorf(s.pos, "require command: the Sieve capability '%s' cannot be used here", name)
		return
	}
	if strings.HasPrefix(name, "comparator-") {
		c.errorf(s.pos, "require command: unknown Sieve capability '%s': no such comparator", name)
		return
	}
	c.errorf(s.pos, "require command: unknown Sieve capability '%s'", name)
}

// offers reports that the script may require an extension.
func (c *checker) offers(name string) bool {
	return name == testsuiteExtension && (c.test || c.tested) || c.engine.offers(name, c.trusted || c.test)
}

// successor is the extension that took the place of an older one. A script has
// one or the other, since their commands have the same names.
func successor(old string) string {
	switch old {
	case "notify":
		return "enotify"
	case "imapflags":
		return "imap4flags"
	case "vnd.dovecot.duplicate":
		return "duplicate"
	}
	return ""
}

// takeIn puts an extension in force, and what it brings along.
func (c *checker) takeIn(at Pos, name string) {
	for other := range c.required {
		if successor(other) == name || successor(name) == other {
			c.errorf(at, "the '%s' extension cannot be used together with the '%s' extension", name, other)
			return
		}
	}
	c.required[name] = true
	switch name {
	case "vnd.dovecot.imapsieve":
		c.required["imapsieve"] = true
	case "vnd.dovecot.environment":
		c.required["environment"] = true
	case "vacation-seconds": // RFC 6131 section 2
		c.required["vacation"] = true
	}
}

// ifChain is if, elsif and else: RFC 5228 section 3.1.
type ifChain struct {
	arms   []ifArm
	closed bool
}

type ifArm struct {
	pos  Pos
	test test // nil for else
	body block
}

func buildIf(_ *checker, n *call) any {
	chain := n.previous
	if chain == nil {
		chain = &ifChain{}
	}
	arm := ifArm{pos: n.pos, body: n.body}
	if len(n.subtests) > 0 {
		arm.test = n.subtests[0]
	} else {
		chain.closed = true
	}
	chain.arms = append(chain.arms, arm)
	return chain
}

func (f *ifChain) exec(m *machine) error {
	for _, a := range f.arms {
		yes := a.test == nil
		if !yes {
			var err error
			if yes, err = m.eval(a.pos, a.test); err != nil {
				return err
			}
		}
		if yes {
			return a.body.exec(m)
		}
	}
	return nil
}

// stop ends everything: RFC 5228 section 3.3.
type stop struct{}

func buildStop(*checker, *call) any { return stop{} }

func (stop) exec(*machine) error { return errStop }
