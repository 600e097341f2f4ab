package sieve

import "strings"

// maxListed is how many members of an external list are looked at.
const maxListed = 10_000

// extList is an external list: RFC 6134.
type extList struct {
	members []string
	folded  map[string]bool
	exists  bool
}

// ListName is the short name of a list as scripts name it, with
// urn:ietf:params:sieve:addrbook: before it or :addrbook: for short (RFC 6134
// section 2.6). It is fit to be the name of a file; false for any other list,
// of which there is none.
func ListName(name string) (short string, ok bool) {
	short, ok = strings.CutPrefix(name, "urn:ietf:params:sieve:addrbook:")
	if !ok {
		short, ok = strings.CutPrefix(name, ":addrbook:")
	}
	return short, ok && isMailboxName(short) && short[0] != '.' && !strings.ContainsAny(short, "/\\")
}

// ParseList reads the file of a list: a line is a member; empty ones and those
// that begin with # are none.
func ParseList(data []byte) (members []string) {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			members = append(members, line)
		}
	}
	return members
}

// list asks for a list once in a run. One that is not there has no members.
func (m *machine) list(at Pos, name string) (*extList, error) {
	if l, ok := m.lists[name]; ok {
		return l, nil
	}
	l := &extList{folded: map[string]bool{}}
	if m.env.List != nil {
		var err error
		if l.members, l.exists, err = m.env.List(name); err != nil {
			return nil, m.fault(at, err)
		}
	}
	l.members = l.members[:min(len(l.members), maxListed)]
	for _, s := range l.members {
		l.folded[strings.ToLower(s)] = true
	}
	if m.lists == nil {
		m.lists = map[string]*extList{}
	}
	m.lists[name] = l
	return l, m.spend(at, 10+len(l.members)/8)
}

// listed is the match type :list (RFC 6134 section 2.4): the keys are names of
// lists, and a member is found whatever the case of its ASCII letters.
func (x *matching) listed(v string) (bool, error) {
	for _, name := range x.keys {
		l, err := x.m.list(x.pos, name)
		if err != nil {
			return false, err
		}
		if l.folded[strings.ToLower(v)] {
			x.captured(func(int) string { return v }, 1)
			return true, nil
		}
	}
	return false, nil
}

// listMembers are those of a list that a redirect names.
func (m *machine) listMembers(at Pos, name string) ([]string, error) {
	l, err := m.list(at, name)
	if err != nil {
		return nil, err
	}
	if len(l.members) == 0 {
		return nil, m.failAt(at, "redirect action: the list '%s' is missing or empty", shorten(name))
	}
	return l.members, nil
}

// buildValidExtList is RFC 6134 section 2.5.
func buildValidExtList(c *checker, n *call) any {
	return allOfOr(c.texts(n.args[0]), func(m *machine, name string) (bool, error) {
		l, err := m.list(n.pos, name)
		return err == nil && l.exists, err
	})
}
