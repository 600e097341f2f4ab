package sieve

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is a POSIX extended regular expression (draft-ietf-sieve-regex) made
// ready for Go's engine, which works in linear time: leftmost longest, a dot is
// any character, no back references.
type pattern struct {
	re   *regexp.Regexp
	size int // see steps
}

// regex is the :regex match type.
func (x *matching) regex(v string) (bool, error) {
	for i, k := range x.keys {
		p, err := x.pattern(i, k)
		if bad, ok := errors.AsType[*badPattern](err); ok {
			x.m.problem(x.pos, bad.Error())
			continue
		}
		if err != nil {
			return false, err
		}
		if err := x.m.spend(x.pos, 1+len(v)*p.size/64); err != nil {
			return false, err
		}
		if !x.capture {
			if p.re.MatchString(v) {
				return true, nil
			}
			continue
		}
		at := p.re.FindStringSubmatchIndex(v)
		if at == nil {
			continue
		}
		x.captured(func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return v[at[2*i]:at[2*i+1]]
		}, len(at)/2)
		return true, nil
	}
	return false, nil
}

// badPattern is a key made at run time that is no regular expression. It matches
// nothing, and the script goes on, as with Pigeonhole.
type badPattern struct {
	key   string
	cause error
}

func (e *badPattern) Error() string {
	return fmt.Sprintf("invalid regular expression '%s' for regex match: %v", shorten(e.key), e.cause)
}

func (x *matching) pattern(i int, key string) (*pattern, error) {
	if x.patterns != nil {
		return x.patterns[i], nil
	}
	id := x.cmp.name + "\x00" + key
	if p := x.m.regexps[id]; p != nil {
		return p, nil
	}
	if err := x.m.spend(x.pos, 100+len(key)); err != nil {
		return nil, err
	}
	p, err := newPattern(key, x.cmp, x.m.limits.PatternSize)
	if err != nil {
		return nil, &badPattern{key, err}
	}
	if x.m.regexps == nil || len(x.m.regexps) > 100 {
		x.m.regexps = map[string]*pattern{}
	}
	x.m.regexps[id] = p
	return p, nil
}

// patterns compiles constant keys.
func (c *checker) patterns(n *call, cmp *comparator, keys texts, fixed []string) []*pattern {
	out := make([]*pattern, len(fixed))
	for i, k := range fixed {
		p, err := newPattern(k, cmp, c.engine.limits.PatternSize)
		if err != nil {
			c.errorf(keys[i].pos, "invalid regular expression '%s' for regex match: %v", shorten(k), err)
		}
		out[i] = p
	}
	return out
}

func shorten(s string) string {
	if len(s) > 128 {
		return s[:128] + "..."
	}
	return s
}

func newPattern(key string, cmp *comparator, limit int) (*pattern, error) {
	if len(key) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	expr, err := translate(key)
	if err != nil {
		return nil, err
	}
	flags := "(?s)"
	if cmp.fold != nil {
		flags = "(?si)"
	}
	tree, err := syntax.Parse(flags+expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := steps(tree)
	if size > maxSteps {
		return nil, fmt.Errorf("too complex, its repeats multiply to more than %d steps", maxSteps)
	}
	re, err := regexp.Compile(flags + expr)
	if err != nil {
		return nil, err
	}
	re.Longest()
	return &pattern{re: re, size: size}, nil
}

// maxSteps is how large the program of an expression may become. A few octets
// with repeats in repeats would make one of millions.
const maxSteps = 5000

// steps is the size of the program that an expression becomes, about: what one
// octet of a value costs at worst. Above maxSteps it is no more exact.
func steps(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass:
		n += len(re.Rune)
	}
	for _, sub := range re.Sub {
		if n += steps(sub); n > maxSteps {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min+1, re.Max)
	}
	return n
}

// translate writes a POSIX extended expression as Go's parser reads it.
func translate(p string) (string, error) {
	var b strings.Builder
	canRepeat := false // something stands before that may be repeated
	isRepeat := false
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch c {
		case '[':
			end := bracketEnd(p, i)
			if end < 0 {
				return "", fmt.Errorf("unmatched [")
			}
			b.WriteString(strings.ReplaceAll(p[i:end+1], `\`, `\\`))
			i = end
		case '\\':
			if i++; i == len(p) {
				return "", fmt.Errorf("trailing backslash")
			}
			if err := escape(&b, p[i]); err != nil {
				return "", err
			}
		case '*', '+', '?':
			switch {
			case isRepeat && c == '?', isRepeat && c == '*', isRepeat && c == '+':
				continue // a repeat of a repeat repeats as often
			case !canRepeat:
				return "", fmt.Errorf("nothing before %q to repeat", c)
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
		isRepeat = c == '*' || c == '+' || c == '?'
		canRepeat = c != '(' && c != '|' && c != '^'
	}
	return b.String(), nil
}

// escape writes what a backslash makes of c: in POSIX a letter is itself, and
// GNU adds a few classes.
func escape(b *strings.Builder, c byte) error {
	switch {
	case c == '<' || c == '>':
		b.WriteString(`\b`)
	case strings.IndexByte("wWsSbB", c) >= 0:
		b.WriteByte('\\')
		b.WriteByte(c)
	case '1' <= c && c <= '9':
		return fmt.Errorf("back reference \\%c is not supported", c)
	default:
		b.WriteString(regexp.QuoteMeta(string(c)))
	}
	return nil
}

// bracketEnd is where the bracket expression at p[i] ends, -1 if nowhere.
func bracketEnd(p string, i int) int {
	j := i + 1
	if j < len(p) && p[j] == '^' {
		j++
	}
	if j < len(p) && p[j] == ']' {
		j++
	}
	for ; j < len(p); j++ {
		switch {
		case p[j] == ']':
			return j
		case p[j] == '[' && j+1 < len(p) && strings.IndexByte(":.=", p[j+1]) >= 0:
			end := strings.Index(p[j+2:], p[j+1:j+2]+"]")
			if end < 0 {
				return -1
			}
			j += 2 + end + 1
		}
	}
	return -1
}
