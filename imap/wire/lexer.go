package wire

import (
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Layouts of RFC 3501 section 9: date-time, date.
const (
	dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"
	dateLayout     = "2-Jan-2006"
)

// The classes of characters of RFC 3501 section 9.

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7F && !strings.ContainsRune(`(){%*"\]`, rune(c))
}

// isAStringChar is ASTRING-CHAR: "]" may stand in an astring.
func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

func isTagChar(c byte) bool { return isAStringChar(c) && c != '+' }

// Peek is the next octet of the line, 0 at its end.
func (d *Decoder) Peek() byte {
	if d.Err() != nil || d.pos >= len(d.line) {
		return 0
	}
	return d.line[d.pos]
}

// AtEnd reports that the command has no more.
func (d *Decoder) AtEnd() bool { return d.pos >= len(d.line) && d.literal == nil }

// Accept takes c if it comes next.
func (d *Decoder) Accept(c byte) bool {
	if d.Peek() != c || c == 0 {
		return false
	}
	d.pos++
	return true
}

// PeekFold reports whether text, in any case of letters, comes next.
func (d *Decoder) PeekFold(text string) bool {
	return d.Err() == nil && len(d.line)-d.pos >= len(text) && strings.EqualFold(string(d.line[d.pos:d.pos+len(text)]), text)
}

// AcceptFold takes text, in any case of letters, if it comes next.
func (d *Decoder) AcceptFold(text string) bool {
	if !d.PeekFold(text) {
		return false
	}
	d.pos += len(text)
	return true
}

// Expect takes c, which must come next.
func (d *Decoder) Expect(c byte) {
	if !d.Accept(c) {
		d.Fail("%q expected", c)
	}
}

// SP takes one space.
func (d *Decoder) SP() {
	if !d.Accept(' ') {
		d.Fail("space expected")
	}
}

// End is the end of the command.
func (d *Decoder) End() {
	// Some clients leave a blank at the end of the line; nothing can hide in it.
	for d.Accept(' ') {
	}
	if d.Err() == nil && !d.AtEnd() {
		d.Fail("end of command expected")
	}
}

// take consumes the octets of a class.
func (d *Decoder) take(class func(byte) bool) string {
	if d.Err() != nil {
		return ""
	}
	start := d.pos
	for d.pos < len(d.line) && class(d.line[d.pos]) {
		d.pos++
	}
	return string(d.line[start:d.pos])
}

// Atom is one or more ATOM-CHARs.
func (d *Decoder) Atom() string {
	a := d.take(isAtomChar)
	if a == "" {
		d.Fail("atom expected")
	}
	return a
}

// Word is an atom in upper case: the name of a command, an item or a key.
func (d *Decoder) Word() string { return strings.ToUpper(d.Atom()) }

// FetchWord is a Word that ends before "[" too: RFC822.SIZE, BODY.PEEK.
func (d *Decoder) FetchWord() string {
	w := d.take(func(c byte) bool { return isAtomChar(c) && c != '[' && c != '<' })
	if w == "" {
		d.Fail("atom expected")
	}
	return strings.ToUpper(w)
}

// String is a quoted string or a literal.
func (d *Decoder) String() string {
	switch {
	case d.Err() != nil:
		return ""
	case d.atLiteral():
		s := d.readLiteral()
		if strings.IndexByte(s, 0) >= 0 {
			d.Fail("NUL in a literal")
		}
		return s
	case d.Peek() == '"':
		return d.quoted()
	}
	d.Fail("string expected")
	return ""
}

// quoted reads a quoted string. Octets above 127 are allowed, as in the UTF-8
// strings of RFC 6855 and as careless clients send them.
func (d *Decoder) quoted() string {
	var b strings.Builder
	for d.pos++; d.pos < len(d.line); d.pos++ {
		switch c := d.line[d.pos]; {
		case c == '"':
			d.pos++
			if d.UTF8 && !utf8.ValidString(b.String()) {
				d.Fail("quoted string is not in UTF-8") // RFC 6855 section 3
			}
			return b.String()
		case c == '\\':
			d.pos++
			if d.pos >= len(d.line) || d.line[d.pos] != '"' && d.line[d.pos] != '\\' {
				d.Fail("bad escape in a quoted string")
				return ""
			}
			b.WriteByte(d.line[d.pos])
		case c == 0 || c == '\r':
			d.Fail("bad octet in a quoted string")
			return ""
		default:
			b.WriteByte(c)
		}
	}
	d.Fail("quoted string has no end")
	return ""
}

// AString is an atom or a string.
func (d *Decoder) AString() string { return d.stringOr(isAStringChar) }

// ListMailbox is a mailbox name with wildcards, undecoded.
func (d *Decoder) ListMailbox() string { return d.stringOr(isListChar) }

func (d *Decoder) stringOr(class func(byte) bool) string {
	if d.atLiteral() || d.Peek() == '"' {
		return d.String()
	}
	a := d.take(class)
	if a == "" {
		d.Fail("string expected")
	}
	return a
}

// NString is a string or NIL, which is the empty string and false.
func (d *Decoder) NString() (string, bool) {
	if d.atLiteral() || d.Peek() == '"' {
		return d.String(), true
	}
	if a := d.take(isAtomChar); !strings.EqualFold(a, "NIL") {
		d.Fail("string or NIL expected")
	}
	return "", false
}

// Mailbox is a mailbox name in UTF-8; INBOX in any case is INBOX. See Name. A
// separator at its end goes: some clients think that a mailbox with children is
// called so (Dovecot's workaround tb-extra-mailbox-sep), and with CREATE it only
// says that there will be some (RFC 3501 section 6.3.3).
func (d *Decoder) Mailbox() string {
	return FoldINBOX(strings.TrimSuffix(d.Name(d.AString()), "/"))
}

// Name decodes a mailbox name or pattern: from modified UTF-7 (RFC 3501
// section 5.1.3), or with UTF8 set from nothing. What is not in that encoding
// is NO [CANNOT]: the error's code says so.
func (d *Decoder) Name(raw string) string {
	if d.Err() != nil {
		return ""
	}
	if d.UTF8 {
		if !utf8.ValidString(raw) || strings.ContainsFunc(raw, isNoNameRune) {
			d.FailCode("CANNOT", "mailbox name is not in UTF-8")
			return ""
		}
		return raw
	}
	name, err := DecodeUTF7(raw)
	if err != nil {
		d.FailCode("CANNOT", "mailbox name is not in modified UTF-7")
		return ""
	}
	return name
}

// isNoNameRune: RFC 6855 section 3, control characters and the separators of lines
// and paragraphs.
func isNoNameRune(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// Pattern decodes a pattern of LIST as Name does; false for one that is not in the
// encoding.
func (d *Decoder) Pattern(raw string) (string, bool) {
	if d.UTF8 {
		return raw, utf8.ValidString(raw)
	}
	name, err := DecodeUTF7(raw)
	return name, err == nil
}

// FoldINBOX spells INBOX, alone or as first level, in capitals (RFC 3501
// section 5.1).
func FoldINBOX(name string) string {
	first, rest, nested := strings.Cut(name, "/")
	if !strings.EqualFold(first, "INBOX") {
		return name
	}
	if !nested {
		return "INBOX"
	}
	return "INBOX/" + rest
}

// Number is a number below 2^63 (RFC 9051 number64).
func (d *Decoder) Number() int64 {
	digits := d.take(isDigit)
	if digits == "" {
		d.Fail("number expected")
		return 0
	}
	var n int64
	for i := range len(digits) {
		v := int64(digits[i] - '0')
		if n > (math.MaxInt64-v)/10 {
			d.Fail("number is too large")
			return 0
		}
		n = n*10 + v
	}
	return n
}

// Number32 is a number below 2^32.
func (d *Decoder) Number32() uint32 {
	n := d.Number()
	if n > math.MaxUint32 {
		d.Fail("number is too large")
		return 0
	}
	return uint32(n)
}

// Flag is a flag as it stands: \Seen, a keyword.
func (d *Decoder) Flag() string {
	if d.Accept('\\') {
		return `\` + d.Atom()
	}
	return d.Atom()
}

// FlagList is ( flag SP flag ... ), which may be empty.
func (d *Decoder) FlagList() []string {
	var flags []string
	d.List(func() { flags = append(flags, d.Flag()) })
	return flags
}

// List is a parenthesised list, calling item for each of its members.
func (d *Decoder) List(item func()) {
	d.Expect('(')
	if d.Accept(')') {
		return
	}
	for d.Err() == nil {
		item()
		if d.Accept(')') {
			return
		}
		d.SP()
	}
}

// DateTime is the date-time of APPEND.
func (d *Decoder) DateTime() time.Time {
	return d.time(dateTimeLayout, d.String())
}

// Date is a date of SEARCH, quoted or not, at midnight UTC.
func (d *Decoder) Date() time.Time {
	return d.time(dateLayout, d.AString())
}

func (d *Decoder) time(layout, text string) time.Time {
	if d.Err() != nil {
		return time.Time{}
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		d.Fail("bad date")
	}
	return t
}

// SectionWord is a word of BODY[...] in upper case: HEADER.FIELDS.
func (d *Decoder) SectionWord() string {
	w := d.take(func(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '.' })
	return strings.ToUpper(w)
}
