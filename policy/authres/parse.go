package authres

import (
	"errors"
	"strings"

	"gomaild/mail"
)

// What a field may hold before it is not looked at any more.
const (
	maxMethods    = 50
	maxProperties = 50 // of one method
)

// ErrSyntax is a text that is no list of results.
var ErrSyntax = errors.New("no authentication results")

// Parse reads the text of an Authentication-Results field (RFC 8601 section
// 2.2): who wrote it, and the results, names and results in lower case. What is
// read was written by others: a name and its value are as they say, and nothing
// more. ErrSyntax.
func Parse(text string) (id string, methods []Method, err error) {
	head, rest := cutOutside(text, ';')
	id, ok := authservID(head)
	if !ok {
		return "", nil, ErrSyntax
	}
	for rest != "" && len(methods) < maxMethods {
		var part string
		part, rest = cutOutside(rest, ';')
		m, found, err := parseMethod(part)
		if err != nil {
			return "", nil, err
		}
		if found {
			methods = append(methods, m)
		}
	}
	return id, methods, nil
}

// Property is the value of a property, "" if there is none.
func (m *Method) Property(name string) string {
	for _, p := range m.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// parseMethod reads "dkim=pass reason=... header.d=...". found is false for
// "none", which is no method.
func parseMethod(s string) (m Method, found bool, err error) {
	for n := 0; ; n++ {
		var ok bool
		if s, ok = skipComments(s); !ok {
			return m, false, ErrSyntax
		}
		if s == "" {
			return m, n > 0 && m.Name != "", nil
		}
		var name, value string
		if name, value, s, ok = cutPair(s); !ok {
			return m, false, ErrSyntax
		}
		switch {
		case n == 0 && value == "" && name == "none":
			return m, false, nil
		case n == 0:
			m.Name, _, _ = strings.Cut(name, "/") // a version
			m.Result = mail.FoldASCII(value)
		case name == "reason":
			m.Reason = value
		case len(m.Properties) < maxProperties:
			m.Properties = append(m.Properties, Property{name, value})
		}
	}
}

// cutPair reads a word and, behind an equals sign, its value; blanks and
// comments may stand around the sign.
func cutPair(s string) (name, value, rest string, ok bool) {
	end := strings.IndexAny(s, "= \t\r\n(\"")
	if end < 0 {
		end = len(s)
	}
	name = mail.FoldASCII(s[:end])
	if s, ok = skipComments(s[end:]); !ok || name == "" {
		return "", "", "", false
	}
	if !strings.HasPrefix(s, "=") {
		return name, "", s, true
	}
	if s, ok = skipComments(s[1:]); !ok {
		return "", "", "", false
	}
	if strings.HasPrefix(s, `"`) {
		if value, ok = cutQuoted(s[1:]); !ok {
			return "", "", "", false
		}
		return name, value, s[1+quotedLen(s[1:]):], true
	}
	if end = strings.IndexAny(s, " \t\r\n(\""); end < 0 {
		end = len(s)
	}
	return name, s[:end], s[end:], true
}

// quotedLen is how long a quoted string is, from behind its first quote, with
// its last.
func quotedLen(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// cutOutside cuts at the first separator that stands in no comment and no quoted
// string.
func cutOutside(s string, separator byte) (before, after string) {
	depth, inQuotes := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (inQuotes || depth > 0):
			i++
		case c == '"' && depth == 0:
			inQuotes = !inQuotes
		case inQuotes:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == separator && depth == 0:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
