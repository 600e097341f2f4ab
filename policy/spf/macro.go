package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Macros (RFC 7208 section 7): %{letter digits r delimiters}, and %% %_ %-.

// letters are those of a domain-spec; the others stand in explanations, which are
// not asked for.
const (
	letters     = "slodiphv"
	letters4exp = "crt"
	delimiters  = ".-+,/_="
)

// macro is one expression.
type macro struct {
	letter  byte // in lower case
	escape  bool // it was in upper case
	keep    int  // parts from the right, 0 for all
	reverse bool
	delims  string
}

// nextMacro reads what follows a % and returns the rest of s. A macro with no
// letter is the literal.
func nextMacro(s string, explains bool) (m macro, literal, rest string, err error) {
	if s == "" {
		return m, "", "", errMacro
	}
	switch s[0] {
	case '%':
		return m, "%", s[1:], nil
	case '_':
		return m, " ", s[1:], nil
	case '-':
		return m, "%20", s[1:], nil
	case '{':
	default:
		return m, "", "", errMacro
	}
	body, rest, closed := strings.Cut(s[1:], "}")
	if !closed || body == "" {
		return m, "", "", errMacro
	}
	m.letter, m.escape, m.delims = body[0]|0x20, 'A' <= body[0] && body[0] <= 'Z', "."
	if !isLetter(body[0]) || !strings.Contains(letters, string(m.letter)) && !(explains && strings.Contains(letters4exp, string(m.letter))) {
		return m, "", "", errMacro
	}
	body = body[1:]
	after := strings.TrimLeft(body, "0123456789")
	if digits := body[:len(body)-len(after)]; digits != "" {
		n, err := strconv.Atoi(digits)
		if err != nil || n == 0 {
			return m, "", "", errMacro
		}
		m.keep = n
	}
	if after != "" && after[0]|0x20 == 'r' {
		m.reverse, after = true, after[1:]
	}
	if strings.Trim(after, delimiters) != "" {
		return m, "", "", errMacro
	}
	if after != "" {
		m.delims = after
	}
	return m, "", rest, nil
}

// checkMacros looks at every macro of a string. explains allows the letters of an
// explanation.
func checkMacros(s string, explains bool) error {
	for {
		_, after, found := strings.Cut(s, "%")
		if !found {
			return nil
		}
		_, _, rest, err := nextMacro(after, explains)
		if err != nil {
			return err
		}
		s = rest
	}
}

// endsInMacro reports that the last of a string, whose macros are right, is one.
func endsInMacro(s string) bool {
	is := false
	for s != "" {
		_, after, found := strings.Cut(s, "%")
		if !found {
			return false
		}
		_, _, s, _ = nextMacro(after, true)
		is = true
	}
	return is
}

// maxExpanded bounds an expanded string before labels are taken off its front.
const maxExpanded = 4096

// expand is a domain-spec with its macros replaced, of at most 253 octets: more
// lose labels from the left (section 7.3).
func (c *evaluation) expand(ctx context.Context, spec, domain string) string {
	var b strings.Builder
	for spec != "" && b.Len() < maxExpanded {
		text, after, found := strings.Cut(spec, "%")
		b.WriteString(text)
		if !found {
			break
		}
		m, literal, rest, err := nextMacro(after, false)
		if err != nil { // parseRecord has looked at it
			break
		}
		if spec = rest; m.letter == 0 {
			b.WriteString(literal)
			continue
		}
		b.WriteString(m.apply(c.value(ctx, m.letter, domain)))
	}
	name := strings.TrimSuffix(b.String(), ".")
	for len(name) > 253 {
		_, rest, found := strings.Cut(name, ".")
		if !found {
			return name // no name that is asked for
		}
		name = rest
	}
	return name
}

// apply splits a value, turns it round, keeps parts from the right and joins them
// with dots.
func (m macro) apply(value string) string {
	var parts []string
	for {
		i := strings.IndexAny(value, m.delims)
		if i < 0 {
			parts = append(parts, value)
			break
		}
		parts, value = append(parts, value[:i]), value[i+1:]
	}
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	text := strings.Join(parts, ".")
	if !m.escape {
		return text
	}
	var b strings.Builder
	for _, c := range []byte(text) { // RFC 3986 section 2.3
		if isLetter(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// value is what a letter stands for (section 7.2).
func (c *evaluation) value(ctx context.Context, letter byte, domain string) string {
	switch letter {
	case 's':
		return c.local + "@" + c.sender
	case 'l':
		return c.local
	case 'o':
		return c.sender
	case 'd':
		return domain
	case 'i':
		return dotted(c.client)
	case 'p':
		return c.validated(ctx, domain)
	case 'h':
		return c.helo
	}
	if c.client.Is4() { // v
		return "in-addr"
	}
	return "ip6"
}

// dotted is an address with dots between its octets, or its nibbles.
func dotted(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	const digits = "0123456789abcdef"
	var b []byte
	for _, octet := range a.AsSlice() {
		b = append(b, digits[octet>>4], '.', digits[octet&15], '.')
	}
	return string(b[:len(b)-1])
}
