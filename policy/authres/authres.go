// Package authres writes Authentication-Results (RFC 8601) and knows which of
// those in a message claim to be ours.
//
// Whatever stands in a field that we write came from strangers in part: values
// are quoted where they must be, octets that no header may hold are taken out,
// and lines are folded.
package authres

import (
	"strings"
)

// FieldName is the field.
const FieldName = "Authentication-Results"

// Property is one "ptype.property=value", such as smtp.mailfrom.
type Property struct{ Name, Value string }

// Method is the result of one method: "dkim", "pass", a reason or "", and what
// it is about. Properties without a value are left out.
type Method struct {
	Name, Result, Reason string
	Properties           []Property
}

// maxValue bounds a value, in octets.
const maxValue = 300

// Format is the field for the results, folded, with its line end. ID is our
// name (RFC 8601 section 2.5); without methods it says "none".
func Format(id string, methods []Method) []byte {
	var b strings.Builder
	b.WriteString(FieldName + ": " + value(id))
	if len(methods) == 0 {
		b.WriteString("; none")
	}
	for _, m := range methods {
		b.WriteString(";\r\n\t" + m.Name + "=" + m.Result)
		if m.Reason != "" {
			b.WriteString(" reason=" + quoted(m.Reason))
		}
		for _, p := range m.Properties {
			if p.Value == "" {
				continue
			}
			b.WriteString("\r\n\t  " + p.Name + "=" + value(p.Value))
		}
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// value is s as a value of RFC 2045, with the dots and at-signs of domains and
// addresses as they are (RFC 8601 section 2.2, pvalue), or else quoted.
func value(s string) string {
	s = s[:min(len(s), maxValue)]
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r) }) {
		return quoted(s)
	}
	return s
}

func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`{|}~@", r)
}

func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range strings.ToValidUTF8(s[:min(len(s), maxValue)], "?") {
		switch {
		case c < ' ' || c == 0x7f:
			b.WriteByte('?')
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + `"`
}

// Claims reports that the text of an Authentication-Results field says that it
// is of the host id: it must not reach anybody who believes that host (RFC 8601
// section 5). What cannot be read claims it too.
func Claims(text, id string) bool {
	got, ok := authservID(text)
	return !ok || strings.EqualFold(strings.TrimSuffix(got, "."), id)
}

// authservID reads the first value: comments and blanks, then a token or a
// quoted string.
func authservID(s string) (string, bool) {
	s, ok := skipComments(s)
	if !ok || s == "" {
		return "", false
	}
	if s[0] == '"' {
		return cutQuoted(s[1:])
	}
	end := strings.IndexAny(s, " \t\r\n;(")
	if end < 0 {
		end = len(s)
	}
	return s[:end], end > 0
}

// skipComments passes over blanks and comments, which nest (RFC 5322 section
// 3.2.2). false: one has no end.
func skipComments(s string) (string, bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return s[i:], true
		}
	}
	return "", depth == 0
}

func cutQuoted(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), true
		case '\\':
			i++
			if i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
