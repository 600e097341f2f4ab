package message

import (
	"io"
	"strconv"
	"strings"
)

// maxSections is how many pieces a parameter may come in (RFC 2231 section 3).
const maxSections = 100

// ParseParams takes a field like Content-Type or Content-Disposition apart: what
// stands before the first semicolon, without comments and blanks, and the
// parameters, which keep their RFC 2231 form. It never fails: what fits nothing is
// passed over.
func ParseParams(s string) (value string, params []Param) {
	l := lexer{s: s}
	for value = l.token(); ; value += l.token() {
		if l.skip(); !l.eat('/') {
			return value, l.params()
		}
		value += "/"
	}
}

// ParamText is a parameter as people read it: the pieces of RFC 2231 section 3
// joined, its charset (section 4) turned into UTF-8, encoded-words decoded, as
// many programs write them. It is false where there is none of that name.
func ParamText(params []Param, name string) (string, bool) {
	var b strings.Builder
	var charset string
	found := false
	for i := 0; i < maxSections; i++ {
		value, encoded, ok := section(params, name, i)
		if !ok {
			break
		}
		if encoded {
			if i == 0 {
				charset, value = cutCharset(value)
			}
			value = unpercent(value)
		}
		b.WriteString(value)
		found = true
	}
	if !found {
		for _, p := range params {
			if strings.EqualFold(p.Name, name) {
				return DecodeHeader(p.Value), true
			}
		}
		return "", false
	}
	r, _ := CharsetReader(charset, strings.NewReader(b.String()))
	text, err := io.ReadAll(r)
	if err != nil {
		return "", false
	}
	return strings.ToValidUTF8(string(text), "\uFFFD"), true
}

// section is the piece i of a parameter: NAME*i, or as NAME*i* with a charset or
// percent signs; NAME* is the whole.
func section(params []Param, name string, i int) (value string, encoded, ok bool) {
	for _, p := range params {
		if len(p.Name) <= len(name) || !strings.EqualFold(p.Name[:len(name)], name) {
			continue
		}
		switch rest := p.Name[len(name):]; {
		case rest == "*"+strconv.Itoa(i):
			return p.Value, false, true
		case rest == "*"+strconv.Itoa(i)+"*", i == 0 && rest == "*":
			return p.Value, true, true
		}
	}
	return "", false, false
}

// cutCharset reads charset'language'value.
func cutCharset(s string) (charset, value string) {
	charset, rest, ok := strings.Cut(s, "'")
	if !ok {
		return "", s
	}
	if _, value, ok = strings.Cut(rest, "'"); !ok {
		return "", s
	}
	return charset, value
}

// unpercent decodes %XX; what is no such triple stays.
func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
