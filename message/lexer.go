package message

import "strings"

// maxParams bounds the parameters kept of one field.
const maxParams = 100

// lexer reads the lexical parts that structured fields are made of (RFC 5322
// section 3.2, RFC 2045 section 5.1), forgiving what is not as it should be.
type lexer struct {
	s       string
	i       int
	comment string // the last comment passed over, without its brackets
}

func (l *lexer) done() bool {
	l.skip()
	return l.i >= len(l.s)
}

func (l *lexer) peek() byte {
	if l.i < len(l.s) {
		return l.s[l.i]
	}
	return 0
}

func (l *lexer) eat(c byte) bool {
	if l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

// skip passes over blanks and comments.
func (l *lexer) skip() {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			l.comment = l.readComment()
		default:
			return
		}
	}
}

// readComment reads a comment with those nested in it. One that is not closed
// reaches to the end.
func (l *lexer) readComment() string {
	var b strings.Builder
	depth := 0
	for ; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == '\\' && l.i+1 < len(l.s):
			l.i++
			b.WriteByte(l.s[l.i])
			continue
		case c == '(':
			depth++
			if depth == 1 {
				continue
			}
		case c == ')':
			depth--
			if depth == 0 {
				l.i++
				return strings.Trim(b.String(), " \t")
			}
		}
		b.WriteByte(c)
	}
	return strings.Trim(b.String(), " \t")
}

// quoted reads a quoted-string, without quotes and backslashes. One that is
// not closed reaches to the end.
func (l *lexer) quoted() string {
	var b strings.Builder
	for l.i++; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == '"':
			l.i++
			return b.String()
		case c == '\\' && l.i+1 < len(l.s):
			l.i++
			c = l.s[l.i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// until reads octets that are not in stop.
func (l *lexer) until(stop string) string {
	start := l.i
	for l.i < len(l.s) && strings.IndexByte(stop, l.s[l.i]) < 0 {
		l.i++
	}
	return l.s[start:l.i]
}

// token reads an RFC 2045 token after blanks and comments; octets above 127
// are taken too.
func (l *lexer) token() string {
	l.skip()
	return l.until("()<>@,;:\\\"/[]?= \t\r\n\x00")
}

// params reads `; name=value ...` to the end, in order. What does not fit is
// passed over to the next semicolon.
func (l *lexer) params() []Param {
	var params []Param
	for len(params) < maxParams {
		l.skip()
		l.until(";")
		if !l.eat(';') {
			return params
		}
		if p, ok := l.param(); ok {
			params = append(params, p)
		}
	}
	return params
}

func (l *lexer) param() (Param, bool) {
	name := l.token()
	l.skip()
	if name == "" || !l.eat('=') {
		return Param{}, false
	}
	l.skip()
	if l.peek() == '"' {
		return Param{name, l.quoted()}, true
	}
	// RFC 2045 wants a token here; many programs leave out the quotes.
	return Param{name, strings.TrimRight(l.until(";(\""), " \t")}, true
}
