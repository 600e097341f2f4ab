package message

import (
	"fmt"
	"io"
	"slices"
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

// joined are parameters with their pieces put together (RFC 2231 section 3), as
// BODYSTRUCTURE tells them (RFC 9051 section 7.5.2). Where a piece has a charset or
// percent signs the result has the form of section 4 and the name NAME*, as with
// Dovecot. Where one is missing or comes twice all pieces stay as they are.
func joined(params []Param) []Param {
	if !slices.ContainsFunc(params, func(p Param) bool { _, _, ok := pieceOf(p); return ok }) {
		return params
	}
	pieces := map[string][]paramPiece{} // by name in lower case
	for i, p := range params {
		if name, n, ok := pieceOf(p); ok {
			name = strings.ToLower(name)
			pieces[name] = append(pieces[name], paramPiece{n, i})
		}
	}
	all := make([]Param, 0, len(params))
	for i, p := range params {
		name, _, ok := pieceOf(p)
		group := pieces[strings.ToLower(name)]
		switch {
		case !ok || !isWhole(group):
			all = append(all, p)
		case slices.MinFunc(group, func(x, y paramPiece) int { return x.at - y.at }).at == i:
			all = append(all, join(params, name, group))
		}
	}
	return all
}

// paramPiece is a piece of a parameter and where it stands.
type paramPiece struct{ number, at int }

// pieceOf is the parameter that p is a piece of, and which.
func pieceOf(p Param) (name string, number int, ok bool) {
	name, text, _ := strings.Cut(p.Name, "*")
	text = strings.TrimSuffix(text, "*")
	number, err := strconv.Atoi(text)
	return name, number, err == nil && number >= 0 && strconv.Itoa(number) == text
}

// isWhole sorts pieces and reports whether they are all there.
func isWhole(pieces []paramPiece) bool {
	slices.SortFunc(pieces, func(x, y paramPiece) int { return x.number - y.number })
	for n, p := range pieces {
		if p.number != n {
			return false
		}
	}
	return true
}

func isEncoded(p Param) bool { return strings.HasSuffix(p.Name, "*") }

// join puts pieces together, which are whole and sorted.
func join(params []Param, name string, pieces []paramPiece) Param {
	encoded := slices.ContainsFunc(pieces, func(one paramPiece) bool { return isEncoded(params[one.at]) })
	var b strings.Builder
	if encoded && !isEncoded(params[pieces[0].at]) {
		b.WriteString("''")
	}
	for _, one := range pieces {
		if p := params[one.at]; encoded && !isEncoded(p) {
			b.WriteString(percent(p.Value))
		} else {
			b.WriteString(p.Value)
		}
	}
	if encoded {
		name += "*"
	}
	return Param{name, b.String()}
}

// percent encodes what cannot stand for itself in a value with a charset.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`*'%()<>@,;:\"/[]?=`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
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
