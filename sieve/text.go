package sieve

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// text is a string of a script, ready for substitution: RFC 5229 section 3.
type text struct {
	pos   Pos
	parts []part
}

// part is a constant or a variable.
type part struct {
	constant string
	get      func(m *machine) string // nil for a constant
}

type texts []text

// constant is the value of a string without variables.
func (t text) constant() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].get == nil:
		return t.parts[0].constant, true
	}
	return "", false
}

// value is the string with its variables put in.
func (t text) value(m *machine) (string, error) {
	if s, ok := t.constant(); ok {
		return s, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		s := p.constant
		if p.get != nil {
			s = p.get(m)
		}
		if b.Len()+len(s) > m.limits.Text {
			return "", m.failAt(t.pos, "string grows beyond %d bytes when variables are substituted", m.limits.Text)
		}
		b.WriteString(s)
	}
	return b.String(), m.spend(t.pos, 1+b.Len()/64)
}

// values is each string in turn.
func (ts texts) values(m *machine) ([]string, error) {
	out := make([]string, len(ts))
	for i, t := range ts {
		s, err := t.value(m)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

// constants is the strings if none holds a variable.
func (ts texts) constants() ([]string, bool) {
	out := make([]string, len(ts))
	for i, t := range ts {
		s, ok := t.constant()
		if !ok {
			return nil, false
		}
		out[i] = s
	}
	return out, true
}

// text makes a string ready: encoded characters first (RFC 5228 section
// 2.4.2.4), then the places of variables.
func (c *checker) text(s str) text {
	value := s.text
	if c.required["encoded-character"] {
		value = c.decodeCharacters(s.pos, value)
	}
	t := text{pos: s.pos}
	if !c.required["variables"] {
		t.parts = constantPart(value)
		return t
	}
	for {
		before, ref, rest, ok := cutReference(value)
		if !ok {
			t.parts = append(t.parts, constantPart(value)...)
			return t
		}
		t.parts = append(t.parts, constantPart(before)...)
		get := c.reference(s.pos, ref)
		if get != nil {
			t.parts = append(t.parts, part{get: get})
		}
		value = rest
	}
}

func constantPart(s string) []part {
	if s == "" {
		return nil
	}
	return []part{{constant: s}}
}

// cutReference finds the first ${name} that is one: RFC 5229 section 3.
func cutReference(s string) (before, ref, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(s[from:], "${")
		if i < 0 {
			return "", "", "", false
		}
		i += from
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", "", "", false
		}
		if name := s[i+2 : i+end]; isReference(name) {
			return s[:i], strings.ToLower(name), s[i+end+1:], true
		}
		from = i + 2
	}
}

// isReference reports a variable-name with namespaces, or a match value.
func isReference(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	if isNumber(s) {
		return true
	}
	for name := range strings.SplitSeq(s, ".") {
		if !isIdentifier(name) && !isNumber(name) {
			return false
		}
	}
	return isAlpha(s[0])
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		if !isAlpha(s[i]) && (i == 0 || !isDigit(s[i])) {
			return false
		}
	}
	return s != ""
}

// decodeCharacters replaces ${hex: ...} and ${unicode: ...}.
func (c *checker) decodeCharacters(pos Pos, s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, '}')
		if end < 0 {
			b.WriteString(s)
			return b.String()
		}
		decoded, ok := c.decodeCharacter(pos, s[2:end])
		if !ok {
			b.WriteString(s[:2])
			s = s[2:]
			continue
		}
		b.WriteString(decoded)
		s = s[end+1:]
	}
}

func (c *checker) decodeCharacter(pos Pos, inner string) (string, bool) {
	name, codes, ok := strings.Cut(inner, ":")
	if !ok {
		return "", false
	}
	isHex := strings.EqualFold(name, "hex")
	if !isHex && !strings.EqualFold(name, "unicode") {
		return "", false
	}
	words := strings.Fields(codes)
	var b strings.Builder
	for _, w := range words {
		v, err := strconv.ParseUint(w, 16, 64)
		switch {
		case isHex && (err != nil || len(w) > 2), err != nil && !isRange(err):
			return "", false
		case isHex:
			b.WriteByte(byte(v))
		case err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)):
			c.errorf(pos, "invalid unicode character 0x%s in encoded character substitution", strings.ToLower(w))
			return "", true
		default:
			b.WriteRune(rune(v))
		}
	}
	return b.String(), len(words) > 0
}

func isRange(err error) bool {
	return strings.HasSuffix(err.Error(), strconv.ErrRange.Error())
}
