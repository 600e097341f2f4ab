package reply

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"gomaild/mail"
)

// Limits of a reply, in octets. MaxLine is RFC 5321 section 4.5.3.1.5 with its
// CRLF; longer text goes on in further lines of the same reply.
const (
	MaxLine  = 512
	maxLines = 32 // written; what is longer than that nobody reads
)

// Reply is one reply, of one line or several. Lines are without code, enhanced
// code and line ends.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // RFC 3463, "" where there is none (220, 334, 354, EHLO)
	Lines    []string
}

// Of is the reply that tells s. A text of several lines becomes a reply of
// several lines.
func Of(s *mail.Status) Reply {
	return Reply{Code: s.Code, Enhanced: s.Enhanced, Lines: strings.Split(s.Text, "\n")}
}

// Status is the reply as an outcome; its lines are joined by blanks. A positive
// reply is a Status as well: look at Code.
func (r Reply) Status() *mail.Status {
	return &mail.Status{Code: r.Code, Enhanced: r.Enhanced, Text: strings.Join(r.Lines, " ")}
}

// Append writes the reply to b in the form of the wire. Control characters
// become blanks; octets that are not ASCII become "?" unless utf8OK, which a
// session has after SMTPUTF8 (RFC 6531 section 3.7.4.2). A code that is none
// becomes 451: a fault of ours must not read as success.
func (r Reply) Append(b []byte, utf8OK bool) []byte {
	code, enhanced := r.Code, r.Enhanced
	if code < 200 || code > 599 {
		code, enhanced = 451, "4.3.0"
	}
	enhanced = enhancedFor(code, enhanced)
	lines := wrap(r.Lines, MaxLine-len("250 \r\n")-len(enhanced)-1, utf8OK)
	for i, line := range lines {
		b = strconv.AppendInt(b, int64(code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if enhanced != "" {
			b = append(b, enhanced...)
			b = append(b, ' ')
		}
		b = append(b, line...)
		b = append(b, '\r', '\n')
	}
	return b
}

// enhancedFor is the enhanced code if it fits the reply code (RFC 2034 section
// 4: the classes must agree), else the "other" code of the right class.
func enhancedFor(code int, enhanced string) string {
	if enhanced == "" || code/100 == 3 {
		return ""
	}
	class := byte('0' + code/100)
	if !isEnhanced(enhanced) || enhanced[0] != class {
		return string(class) + ".0.0"
	}
	return enhanced
}

// wrap makes text safe and cuts it into lines of at most width octets.
func wrap(text []string, width int, utf8OK bool) []string {
	var lines []string
	for _, t := range text {
		t = sanitise(t, utf8OK)
		for len(t) > width && len(lines) < maxLines {
			cut := runeStart(t, width)
			lines = append(lines, t[:cut])
			t = t[cut:]
		}
		if len(lines) >= maxLines {
			return lines[:maxLines]
		}
		lines = append(lines, t)
	}
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}

// runeStart is the last start of a character at or before i.
func runeStart(s string, i int) int {
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// sanitise takes from s what could end a line or confuse a terminal.
func sanitise(s string, utf8OK bool) string {
	if isPrintable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case r == utf8.RuneError, r >= utf8.RuneSelf && !utf8OK, 0x80 <= r && r < 0xa0, r == 0x2028, r == 0x2029:
			return '?'
		}
		return r
	}, s)
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// isEnhanced reports whether s is class "." subject "." detail of RFC 3463
// section 2, each of at most three digits.
func isEnhanced(s string) bool {
	class, rest, ok := strings.Cut(s, ".")
	if !ok || class != "2" && class != "4" && class != "5" {
		return false
	}
	subject, detail, ok := strings.Cut(rest, ".")
	return ok && isShortNumber(subject) && isShortNumber(detail)
}

func isShortNumber(s string) bool {
	if len(s) < 1 || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
