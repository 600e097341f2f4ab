package sieve

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

type tokenKind int

const (
	tokEnd tokenKind = iota
	tokIdentifier
	tokTag
	tokNumber
	tokString
	tokPunct
	tokGarbage // octets that begin no token
	tokBad
)

// token is one word of a script. text is a name, a string's value, or one
// octet of punctuation.
type token struct {
	kind      tokenKind
	line, col int
	text      string
	num       uint64
}

// describe is the token for a message.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "end of file"
	case tokIdentifier:
		return "identifier"
	case tokTag:
		return "tag"
	case tokNumber:
		return "number"
	case tokString:
		return "string"
	case tokGarbage:
		return "unexpected character(s)"
	}
	return "'" + t.text + "'"
}

// maxIdentifier is the longest name of a command or tag.
const maxIdentifier = 32

// lexer cuts a script into tokens: RFC 5228 section 8.1.
type lexer struct {
	src       []byte
	i         int
	line      int
	lineStart int
	report    func(line, col int, text string)
}

func newLexer(src []byte, report func(line, col int, text string)) *lexer {
	return &lexer{src: src, line: 1, report: report}
}

func (l *lexer) peek(off int) byte {
	if l.i+off < len(l.src) {
		return l.src[l.i+off]
	}
	return 0
}

func (l *lexer) col() int { return l.i - l.lineStart + 1 }

// next is the next token. What is wrong is reported here: a bad token comes as
// tokBad, and a run of octets that begin none as one tokGarbage.
func (l *lexer) next() token {
	if t, bad := l.skipBlanks(); bad {
		return t
	}
	t := token{line: l.line, col: l.col()}
	if l.i >= len(l.src) {
		return t
	}
	c := l.src[l.i]
	switch {
	case isAlpha(c):
		start := l.i
		l.takeName()
		t.kind, t.text = tokIdentifier, string(l.src[start:l.i])
		if strings.EqualFold(t.text, "text") && l.peek(0) == ':' {
			l.i++
			return l.multiLine(t)
		}
		return l.checkName(t)
	case c == ':' && isAlpha(l.peek(1)):
		l.i++
		start := l.i
		l.takeName()
		t.kind, t.text = tokTag, string(l.src[start:l.i])
		return l.checkName(t)
	case c == '"':
		return l.quoted(t)
	case '0' <= c && c <= '9':
		return l.number(t)
	case bytes.IndexByte([]byte(";,{}()[]"), c) >= 0:
		l.i++
		t.kind, t.text = tokPunct, string(c)
		return t
	}
	for l.i++; l.i < len(l.src) && !l.atToken(); l.i++ {
	}
	l.report(t.line, t.col, unexpectedChar(c))
	t.kind = tokGarbage
	return t
}

// atToken reports that a blank, a comment or a token begins here.
func (l *lexer) atToken() bool {
	switch c := l.peek(0); c {
	case ':':
		return isAlpha(l.peek(1))
	case '/':
		return l.peek(1) == '*'
	default:
		return isAlpha(c) || isDigit(c) || strings.IndexByte(" \t\r\n#\";,{}()[]", c) >= 0
	}
}

func unexpectedChar(c byte) string {
	if c > ' ' && c < 0x7f {
		return fmt.Sprintf("unexpected character '%c' found", c)
	}
	return fmt.Sprintf("unexpected character 0x%02x found", c)
}

func (l *lexer) bad(t token, text string) token {
	l.report(t.line, t.col, text)
	t.kind, t.text = tokBad, ""
	return t
}

func isAlpha(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (l *lexer) takeName() {
	for isAlpha(l.peek(0)) || isDigit(l.peek(0)) {
		l.i++
	}
}

func (l *lexer) checkName(t token) token {
	if len(t.text) > maxIdentifier {
		return l.bad(t, fmt.Sprintf("encountered impossibly long %s '%s...'", t.describe(), t.text[:maxIdentifier]))
	}
	return t
}

func (l *lexer) newline() {
	l.i++
	l.line++
	l.lineStart = l.i
}

// skipBlanks passes over blanks and comments.
func (l *lexer) skipBlanks() (t token, bad bool) {
	for l.i < len(l.src) {
		switch c := l.src[l.i]; {
		case c == '\n':
			l.newline()
		case c == ' ' || c == '\t' || c == '\r':
			l.i++
		case c == '#':
			t = token{line: l.line, col: l.col()}
			for ; l.i < len(l.src) && l.src[l.i] != '\n'; l.i++ {
				if l.src[l.i] == 0 { // RFC 5228 section 2.1
					return l.bad(t, "encountered NUL character in comment started at this line"), true
				}
			}
		case c == '/' && l.peek(1) == '*':
			t = token{line: l.line, col: l.col()}
			if !l.skipComment() {
				return l.bad(t, "end of file before end of block comment ('/* ... */') started at this line"), true
			}
		default:
			return t, false
		}
	}
	return t, false
}

func (l *lexer) skipComment() bool {
	l.i += 2
	for l.i < len(l.src) {
		switch {
		case l.src[l.i] == '*' && l.peek(1) == '/':
			l.i += 2
			return true
		case l.src[l.i] == '\n':
			l.newline()
		default:
			l.i++
		}
	}
	return false
}

// number reads digits and K, M or G: RFC 5228 section 2.4.1.
func (l *lexer) number(t token) token {
	const most = math.MaxUint64
	t.kind = tokNumber
	over := false
	for ; isDigit(l.peek(0)); l.i++ {
		d := uint64(l.src[l.i] - '0')
		if t.num > (most-d)/10 {
			over = true
			continue
		}
		t.num = t.num*10 + d
	}
	shift := 0
	switch l.peek(0) | 0x20 {
	case 'k':
		shift = 10
	case 'm':
		shift = 20
	case 'g':
		shift = 30
	}
	if shift > 0 {
		l.i++
		over = over || t.num > most>>shift
		t.num <<= shift
	}
	if isAlpha(l.peek(0)) || isDigit(l.peek(0)) {
		c := l.peek(0)
		l.takeName()
		return l.bad(t, fmt.Sprintf("invalid character '%c' after a number", c))
	}
	if over {
		return l.bad(t, "number exceeds integer limits")
	}
	return t
}

// quoted reads a quoted-string: RFC 5228 section 2.4.2.
func (l *lexer) quoted(t token) token {
	var b strings.Builder
	l.i++
	nul := false
	for l.i < len(l.src) {
		switch c := l.src[l.i]; c {
		case '"':
			l.i++
			if nul {
				return l.bad(t, "encountered NUL character in quoted string started at this line")
			}
			t.kind, t.text = tokString, b.String()
			return t
		case '\\':
			l.i++
			if l.i < len(l.src) && l.src[l.i] != '\n' && l.src[l.i] != '\r' {
				b.WriteByte(l.src[l.i])
				l.i++
			}
		case '\n':
			b.WriteString("\r\n")
			l.newline()
		case '\r':
			l.i++
			if l.peek(0) != '\n' {
				b.WriteByte('\r')
			}
		case 0:
			nul = true
			l.i++
		default:
			b.WriteByte(c)
			l.i++
		}
	}
	return l.bad(t, "end of file before end of quoted string started at this line")
}

// multiLine reads what follows "text:": RFC 5228 section 2.4.2.
func (l *lexer) multiLine(t token) token {
	for l.peek(0) == ' ' || l.peek(0) == '\t' {
		l.i++
	}
	if l.peek(0) == '#' {
		for l.i < len(l.src) && l.src[l.i] != '\n' {
			l.i++
		}
	}
	if l.peek(0) == '\r' {
		l.i++
	}
	if l.peek(0) != '\n' {
		return l.bad(t, "invalid character after 'text:' in multiline string")
	}
	l.newline()
	var b strings.Builder
	for l.i < len(l.src) {
		line := l.src[l.i:]
		if n := bytes.IndexByte(line, '\n'); n >= 0 {
			line = line[:n]
			l.i += n
			l.newline()
		} else {
			l.i = len(l.src)
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 1 && line[0] == '.' {
			t.kind, t.text = tokString, b.String()
			return l.checkMultiLine(t)
		}
		if len(line) > 1 && line[0] == '.' && line[1] == '.' {
			line = line[1:]
		}
		b.Write(line)
		b.WriteString("\r\n")
	}
	return l.bad(t, "end of file before end of multi-line string")
}

func (l *lexer) checkMultiLine(t token) token {
	if strings.IndexByte(t.text, 0) >= 0 {
		return l.bad(t, "encountered NUL character in multi-line string started at this line")
	}
	return t
}
