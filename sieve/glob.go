package sieve

import (
	"strings"
	"unicode/utf8"
)

// glob is :matches (RFC 5228 section 2.7.1): * is any characters, as few as
// will do, ? is one, and \ takes the meaning from what follows. What a character
// is, the comparator says: an octet, but for i;unicode-casemap. Work is the
// product of both lengths at most: only the last * is ever tried again.
func (x *matching) glob(v, folded string) (bool, error) {
	for i, k := range x.keys {
		if x.pieces != nil && !holdsPieces(folded, x.pieces[i]) {
			continue
		}
		if err := x.m.spend(x.pos, len(v)*len(k)/512); err != nil {
			return false, err
		}
		g := globber{fold: x.cmp.fold, octets: x.cmp.octets}
		if g.match(k, v) {
			x.captured(func(i int) string { return g.span(v, i) }, len(g.wild)+1)
			return true, nil
		}
	}
	return false, nil
}

// pieces is what stands between the wildcards of a pattern, folded: a value that
// matches holds each behind the one before. To look for them is far cheaper than
// to match, and most rules of a script do not hit.
func pieces(pattern string, fold func(string) string) []string {
	var list []string
	var now []byte
	cut := func() {
		if len(now) > 0 {
			list = append(list, string(now))
			now = nil
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' || c == '?':
			cut()
		case c == '\\' && i+1 < len(pattern):
			i++
			now = append(now, pattern[i])
		default:
			now = append(now, c)
		}
	}
	cut()
	for i := range list {
		if fold != nil {
			list[i] = fold(list[i])
		}
	}
	return list
}

func holdsPieces(v string, pieces []string) bool {
	for _, p := range pieces {
		i := strings.Index(v, p)
		if i < 0 {
			return false
		}
		v = v[i+len(p):]
	}
	return true
}

// captured sets the match values ${0}, ${1} ... : RFC 5229 section 3.2.
func (x *matching) captured(value func(i int) string, n int) {
	if !x.capture {
		return
	}
	n = min(n, maxMatchValues)
	values := make([]string, n)
	for i := range n {
		v := value(i)
		values[i] = v[:min(len(v), x.m.limits.VariableSize)]
	}
	x.m.matches = values
}

// maxMatchValues is one more than the highest ${n}.
const maxMatchValues = 32

type span struct{ from, to int }

type globber struct {
	fold   func(string) string
	octets bool   // a character is one octet
	wild   []span // what each wildcard took
}

func (g *globber) span(v string, i int) string {
	if i == 0 {
		return v
	}
	return v[g.wild[i-1].from:g.wild[i-1].to]
}

// char is the length of the character at v[i:].
func (g *globber) char(v string, i int) int {
	if g.octets || v[i] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(v[i:])
	return n
}

func (g *globber) same(a, b string) bool {
	if g.fold == nil || a == b {
		return a == b
	}
	if len(a) == 1 && len(b) == 1 {
		return lower(a[0]) == lower(b[0])
	}
	return g.fold(a) == g.fold(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (g *globber) match(p, v string) bool {
	type retry struct{ p, v, wild int }
	last := retry{p: -1}
	i, j := 0, 0
	for {
		switch {
		case i < len(p) && p[i] == '*':
			g.wild = append(g.wild, span{j, j})
			i++
			last = retry{i, j, len(g.wild)}
			continue
		case i < len(p) && j < len(v):
			if n, m, ok := g.step(p, i, v, j); ok {
				i, j = i+n, j+m
				continue
			}
		case i == len(p) && j == len(v):
			return true
		}
		if last.p < 0 || last.v >= len(v) {
			return false
		}
		last.v += g.char(v, last.v)
		if g.octets && last.p < len(p) {
			last.v = skipTo(p[last.p], v, last.v)
		}
		i, j = last.p, last.v
		g.wild = g.wild[:last.wild]
		g.wild[last.wild-1].to = j
	}
}

// skipTo is the next place at or behind j where a plain ASCII character of a
// pattern may match, in either case; len(v) if nowhere.
func skipTo(c byte, v string, j int) int {
	if c == '*' || c == '?' || c == '\\' || c >= utf8.RuneSelf {
		return j
	}
	for c = lower(c); j < len(v) && lower(v[j]) != c; {
		j++
	}
	return j
}

// step takes one character of the pattern.
func (g *globber) step(p string, i int, v string, j int) (n, m int, ok bool) {
	m = g.char(v, j)
	switch {
	case p[i] == '?':
		g.wild = append(g.wild, span{j, j + m})
		return 1, m, true
	case p[i] == '\\' && i+1 < len(p):
		n = 1 + g.char(p, i+1)
		return n, m, g.same(p[i+1:i+n], v[j:j+m])
	}
	n = g.char(p, i)
	return n, m, g.same(p[i:i+n], v[j:j+m])
}
