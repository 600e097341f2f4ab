package sieve

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"gomaild/mail"
)

// frame is the variables of one script: an included one has its own (RFC 6609
// section 3.4).
type frame struct{ vars map[string]string }

// reference is how a run reads ${ref}: RFC 5229 section 3.
func (c *checker) reference(pos Pos, ref string) func(*machine) string {
	if n, err := strconv.Atoi(ref); err == nil {
		return c.matchValue(pos, n)
	}
	space, name, isSpaced := cutLast(ref, '.')
	if item, ok := strings.CutPrefix(ref, "env."); ok && c.required["vnd.dovecot.environment"] {
		item = strings.ReplaceAll(item, "_", "-") // names of variables have no hyphen
		return func(m *machine) string { v, _ := m.environment(item); return v }
	}
	switch {
	case isSpaced && space == "global" && c.required["include"]:
		return func(m *machine) string { return m.globals[name] }
	case isSpaced && space == "vnd.dovecot.config" && c.required["vnd.dovecot.environment"]:
		return func(m *machine) string { return m.env.Config[name] }
	case isSpaced && space == "tst" && c.test && name == "path":
		return func(m *machine) string { return m.suite.config.Dir }
	case isSpaced:
		c.errorf(pos, "referring to an unknown variable namespace '%s' in variable '%s'", space, ref)
		return func(*machine) string { return "" }
	case c.globals[ref]:
		return func(m *machine) string { return m.globals[ref] }
	}
	c.declare(pos, ref)
	return func(m *machine) string { return m.frame.vars[ref] }
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// declare counts the names of a script.
func (c *checker) declare(pos Pos, name string) {
	if c.variables[name] {
		return
	}
	c.variables[name] = true
	if len(c.variables) == c.engine.limits.Variables+1 {
		c.errorf(pos, "script exceeds the maximum number of variables (max %d)", c.engine.limits.Variables)
	}
}

// matchValue is ${n}: RFC 5229 section 3.2.
func (c *checker) matchValue(pos Pos, n int) func(*machine) string {
	if n >= maxMatchValues {
		c.errorf(pos, "match value index %d out of range (max: %d)", n, maxMatchValues-1)
		return func(*machine) string { return "" }
	}
	return func(m *machine) string {
		if n < len(m.matches) {
			return m.matches[n]
		}
		return ""
	}
}

// target is a variable that a command writes.
func (c *checker) target(s str) func(m *machine, value string) {
	name := strings.ToLower(s.text)
	if global, ok := strings.CutPrefix(name, "global."); ok && c.required["include"] && isIdentifier(global) {
		return func(m *machine, v string) { m.setGlobal(global, v) }
	}
	if !isIdentifier(name) {
		c.errorf(s.pos, "invalid variable name '%s'", shorten(s.text))
		return func(*machine, string) {}
	}
	if c.globals[name] {
		return func(m *machine, v string) { m.setGlobal(name, v) }
	}
	c.declare(s.pos, name)
	return func(m *machine, v string) { m.frame.vars[name] = m.cut(v) }
}

func (m *machine) setGlobal(name, v string) {
	if _, ok := m.globals[name]; ok || len(m.globals) < m.limits.Variables {
		m.globals[name] = m.cut(v)
	}
}

// cut shortens a value to the limit, between characters.
func (m *machine) cut(s string) string {
	n := m.limits.VariableSize
	if len(s) <= n {
		return s
	}
	for n > 0 && n > m.limits.VariableSize-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// set is RFC 5229 section 4.
type set struct {
	pos       Pos
	write     func(*machine, string)
	value     text
	modifiers []modifier
}

// modifier changes a value, and makes nothing longer than limit.
type modifier func(s string, limit int) string

func buildSet(c *checker, n *call) any {
	return &set{n.pos, c.target(n.args[0].strs[0]), c.string(n.args[1]), c.modifiers(n)}
}

// modifierTable is in order of precedence: RFC 5229 section 4.1, RFC 5435
// section 6.
func modifierTable() []struct {
	name  string
	ext   string
	group string
	apply modifier
} {
	return []struct {
		name  string
		ext   string
		group string
		apply modifier
	}{
		{"lower", "", "case", func(s string, _ int) string { return mail.FoldASCII(s) }},
		{"upper", "", "case", func(s string, _ int) string { return upperASCII(s) }},
		{"lowerfirst", "", "first", func(s string, _ int) string { return first(s, mail.FoldASCII) }},
		{"upperfirst", "", "first", func(s string, _ int) string { return first(s, upperASCII) }},
		{"quotewildcard", "", "quote", func(s string, limit int) string { return quote(s, `*?\`, limit) }},
		{"quoteregex", "regex", "quote", func(s string, limit int) string { return quote(s, `^$.*+?()[]{}|\`, limit) }},
		{"encodeurl", "enotify", "", encodeURL},
		{"length", "", "", func(s string, _ int) string { return strconv.Itoa(utf8.RuneCountInString(s)) }},
	}
}

func modifierTags() []tagSpec {
	var tags []tagSpec
	for _, m := range modifierTable() {
		tags = append(tags, tagSpec{name: m.name, ext: m.ext, group: m.group})
	}
	return tags
}

func (c *checker) modifiers(n *call) []modifier {
	var list []modifier
	for _, m := range modifierTable() {
		if n.has(m.name) {
			list = append(list, m.apply)
		}
	}
	return list
}

// upperASCII leaves all but a to z as it was: RFC 5229 section 4.1.3.
func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

func first(s string, f func(string) string) string {
	n := min(len(s), 1)
	return f(s[:n]) + s[n:]
}

// quote puts a backslash before what is special. Where limit cuts it, no half of
// a pair is left.
func quote(s, special string, limit int) string {
	var b strings.Builder
	for i := range len(s) {
		isSpecial := strings.IndexByte(special, s[i]) >= 0
		if isSpecial && b.Len()+2 > limit {
			break
		}
		if isSpecial {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// encodeURL is RFC 5435 section 6: percent-encoding of all but the unreserved.
// Where limit cuts it, no piece of a character is left.
func encodeURL(s string, limit int) string {
	var b strings.Builder
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		one := strings.ReplaceAll(url.QueryEscape(s[:n]), "+", "%20")
		if b.Len()+len(one) > limit {
			break
		}
		b.WriteString(one)
		s = s[n:]
	}
	return b.String()
}

func (t *set) exec(m *machine) error {
	v, err := t.value.value(m)
	if err != nil {
		return err
	}
	for _, f := range t.modifiers {
		v = f(m.cut(v), m.limits.VariableSize)
	}
	t.write(m, v)
	return nil
}

// stringTest is RFC 5229 section 5. As in Pigeonhole it compares octets where no
// comparator is named: scripts of users rely on it.
type stringTest struct {
	sources texts
	match   match
}

func buildString(c *checker, n *call) any {
	return &stringTest{c.texts(n.args[0]), c.match(n, n.args[1])}
}

func (t *stringTest) eval(m *machine) (bool, error) {
	return t.match.over(m, func(yield func(string) bool) error {
		values, err := t.sources.values(m)
		if err != nil {
			return err
		}
		for _, v := range values {
			if t.match.kind == matchCount && v == "" {
				continue // RFC 5229 section 5: empty strings are not counted
			}
			if !yield(v) {
				break
			}
		}
		return nil
	})
}
