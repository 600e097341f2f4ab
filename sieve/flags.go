package sieve

import (
	"slices"
	"strings"
)

// The limits of one list of flags.
const (
	maxFlags      = 200
	maxFlagOctets = 255
)

// flagCommand is setflag, addflag and removeflag: RFC 5232 section 3.
type flagCommand struct {
	name  string
	read  func(*machine) string // nil: the internal variable
	write func(*machine, string)
	flags texts
}

func buildFlagCommand(c *checker, n *call) any {
	f := &flagCommand{name: strings.ToLower(n.name), flags: c.texts(n.args[1])}
	if n.args[0].kind != argNone {
		f.read, f.write = c.flagVariable(n.args[0])
	}
	return f
}

// buildMark is mark and unmark of the draft before RFC 5232.
func buildMark(_ *checker, n *call) any {
	f := &flagCommand{name: "addflag", flags: texts{{pos: n.pos, parts: constantPart(`\flagged`)}}}
	if strings.EqualFold(n.name, "unmark") {
		f.name = "removeflag"
	}
	return f
}

// flagVariable is a named list of flags.
func (c *checker) flagVariable(a arg) (read func(*machine) string, write func(*machine, string)) {
	s := a.strs[0]
	if !c.required["variables"] {
		c.errorf(a.pos, "cannot use the variable argument of flag commands without the variables extension")
		return nil, nil
	}
	write = c.target(s)
	return c.reference(s.pos, strings.ToLower(s.text)), write
}

func (f *flagCommand) exec(m *machine) error {
	given, err := f.flags.values(m)
	if err != nil {
		return err
	}
	flags := m.flags
	if f.read != nil {
		flags = splitFlags([]string{f.read(m)})
	}
	change := splitFlags(given)
	if err := m.spend(m.at, 1+len(flags)*len(change)/16); err != nil {
		return err
	}
	switch f.name {
	case "setflag":
		flags = joinFlags(nil, change)
	case "addflag":
		flags = joinFlags(flags, change)
	case "removeflag":
		flags = slices.DeleteFunc(slices.Clone(flags), func(x string) bool { return hasFlag(change, x) })
	}
	if f.write != nil {
		f.write(m, strings.Join(flags, " "))
		return nil
	}
	m.flags, m.hasFlags = flags, true
	return nil
}

// splitFlags takes strings apart at blanks and leaves out what can be no flag:
// RFC 5232 section 2.
func splitFlags(list []string) []string {
	var flags []string
	for _, s := range list {
		for f := range strings.FieldsSeq(s) {
			if isFlag(f) && len(flags) < maxFlags {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

// isFlag is a keyword, or one of the system flags that a client may set.
func isFlag(s string) bool {
	if len(s) > maxFlagOctets {
		return false
	}
	if s[0] == '\\' {
		return hasFlag([]string{`\answered`, `\flagged`, `\deleted`, `\seen`, `\draft`}, s)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`(){%*"\]`, s[i]) >= 0 {
			return false
		}
	}
	return true
}

func hasFlag(list []string, f string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, f) })
}

func joinFlags(have, more []string) []string {
	out := slices.Clone(have)
	for _, f := range more {
		if !hasFlag(out, f) && len(out) < maxFlags {
			out = append(out, f)
		}
	}
	return out
}

// putFlags gives a stored message its flags: those of the tag, else those of
// the internal variable (RFC 5232 section 5).
func (m *machine) putFlags(a *Action, tag *texts) error {
	a.Flags, a.HasFlags = m.flags, m.hasFlags
	if tag == nil {
		return nil
	}
	given, err := tag.values(m)
	a.Flags, a.HasFlags = joinFlags(nil, splitFlags(given)), true
	return err
}

// hasflagTest is RFC 5232 section 4.
type hasflagTest struct {
	read  []func(*machine) string
	match match
}

func buildHasflag(c *checker, n *call) any {
	t := &hasflagTest{match: c.match(n, splitKeys(n.args[1]))}
	for _, s := range n.args[0].strs {
		read, _ := c.flagVariable(arg{pos: n.args[0].pos, strs: []str{s}})
		t.read = append(t.read, read)
	}
	return t
}

// splitKeys makes one key of each flag in a string: RFC 5232 section 2.
func splitKeys(a arg) arg {
	out := arg{pos: a.pos, kind: argList}
	for _, s := range a.strs {
		words := strings.Fields(s.text)
		if len(words) < 2 || strings.Contains(s.text, "${") {
			out.strs = append(out.strs, s)
			continue
		}
		for _, w := range words {
			out.strs = append(out.strs, str{s.pos, w})
		}
	}
	return out
}

func (t *hasflagTest) eval(m *machine) (bool, error) {
	return t.match.over(m, func(yield func(string) bool) error {
		sets := [][]string{m.flags}
		if t.read != nil {
			sets = nil
			for _, read := range t.read {
				sets = append(sets, joinFlags(nil, splitFlags([]string{read(m)})))
			}
		}
		for _, f := range slices.Concat(sets...) { // :count adds those of all variables
			if !yield(f) {
				break
			}
		}
		return nil
	})
}
