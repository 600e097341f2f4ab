package sieve

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
)

// FuzzParse reads any octets: it ends, and what it says of places is true.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"require [\"fileinto\"]; if anyof (true, not false) { fileinto text:\n.a\n..\n.\n; } elsif size :over 1K {}",
		"/* # */ # x\n\"a\\\"b\" ; [", "if (((", "text:#\n.\n", "a :b 1G [\"x\",\"y\"] {}", "\x00", "\"\xff\"",
	} {
		f.Add([]byte(s))
	}
	limits := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, src []byte) {
		lines := strings.Count(string(src), "\n") + 1
		errors := 0
		nodes := parse("fuzz", src, limits, func(at Pos, text string) {
			errors++
			if at.Line < 1 || at.Line > lines || at.Column < 1 || at.Column > len(src)+1 || text == "" {
				t.Fatalf("%v: %q in %d lines", at, text, lines)
			}
		})
		if errors > limits.Errors+1 {
			t.Fatalf("%d errors", errors)
		}
		if depth := depthOf(nodes); depth > 2*limits.Nesting+2 {
			t.Fatalf("nested %d deep", depth)
		}
	})
}

func depthOf(nodes []*node) int {
	deepest := 0
	for _, n := range nodes {
		deepest = max(deepest, 1+depthOf(n.block), 1+depthOf(n.tests))
	}
	return deepest
}

// FuzzGlob holds :matches against a translation into a regular expression, and
// that what the wildcards took makes the value again.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"*a?b*", "xxaxbyy"}, {`\*\?\\`, `*?\`}, {"*", ""}, {"?*?", "é"}, {"a*b*c*d", "abcabcabd"}, {"\xff*", "\xff\xfe"}, {`a\`, `a\`}, {"*TEAM-1@*\\", "x team-1@y\\"}, {"?A\\?*é", "éa?é"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if len(pattern) > 200 || len(value) > 200 {
			return
		}
		for _, c := range comparators() {
			g := globber{fold: c.fold, octets: c.octets}
			got := g.match(pattern, value)
			if c.octets && got && !holdsPieces(folded(c, value), pieces(pattern, c.fold)) {
				t.Fatalf("%s: %q matches %q, which does not hold the pieces %q", c.name, pattern, value, pieces(pattern, c.fold))
			}
			if !c.ascii || !isASCII(pattern) || !isASCII(value) {
				continue
			}
			if want := globRegexp(pattern).MatchString(value); got != want {
				t.Fatalf("%q matches %q: %v, as a regular expression %v", pattern, value, got, want)
			}
			if !got {
				continue
			}
			if built := refill(pattern, value, &g); !strings.EqualFold(built, value) {
				t.Fatalf("%q took %v of %q, which makes %q", pattern, g.wild, value, built)
			}
		}
	})
}

func folded(c *comparator, s string) string {
	if c.fold == nil {
		return s
	}
	return c.fold(s)
}

// globRegexp says the same as a pattern of :matches.
func globRegexp(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?si)\A`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString(".")
		default:
			if c == '\\' && i+1 < len(pattern) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return regexp.MustCompile(b.String() + `\z`)
}

// refill puts what the wildcards took in their places.
func refill(pattern, value string, g *globber) string {
	var b strings.Builder
	wild := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' || c == '?':
			wild++
			b.WriteString(g.span(value, wild))
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteByte(pattern[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// FuzzRegexp translates any expression: it is refused, or Go's engine takes it
// in a bounded size.
func FuzzRegexp(f *testing.F) {
	for _, s := range []string{"(a|b)*c{1,3}[[:alpha:]]", `\<a\>`, "[]a]", "[^]\\]", "a**", "(*)", "x{1000}{1000}", `\1`, "a{,3}", "[[.a.]", "(?i)a", `[a\d]`} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, expr, value string) {
		start := time.Now()
		for _, c := range comparators() {
			p, err := newPattern(expr, c, 1<<10)
			if (p == nil) == (err == nil) {
				t.Fatalf("%q: %v and %v", expr, p, err)
			}
			if err == nil && len(value) < 1000 {
				p.re.FindStringSubmatchIndex(value)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("%q on %d octets took %v", expr, len(value), d)
		}
	})
}

// FuzzMailto takes any URI apart: what is taken has few addresses, each whole,
// and nothing in what is sent breaks out of its field.
func FuzzMailto(f *testing.F) {
	for _, s := range []string{
		"mailto:a@example.org", "MAILTO:a@example.org,b@example.org?cc=c@example.org&subject=x%0d%0aBcc:%20d@example.org&body=%FF", "mailto:?to=a@example.org",
		"mailto:%", "mailto:a@example.org?bcc=" + strings.Repeat("a@example.org,", 20), "http://example.org", "mailto:<a@example.org>?importance=high",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		n, ok := parseMailto(uri)
		if !ok {
			return
		}
		all := slices.Concat(n.To, n.Cc, n.Bcc)
		if len(all) == 0 || len(all) > maxNotified {
			t.Fatalf("%d addresses", len(all))
		}
		for _, a := range all {
			if _, err := mail.ParseAddress(a.Address); err != nil {
				t.Fatalf("%q: %v", a.Address, err)
			}
		}
		env := &Env{From: "x@example.org", To: "bob@example.net", Message: strings.NewReader("From: x@example.org\r\nSubject: s\r\n\r\n")}
		out, why := n.Send(env)
		if out == nil {
			t.Fatal(why)
		}
		header, _, _ := strings.Cut(string(out.Content), "\r\n\r\n")
		for line := range strings.SplitSeq(header, "\r\n") {
			name, _, isField := strings.Cut(line, ":")
			if !strings.HasPrefix(line, " ") && (!isField || !isFieldName(name) || strings.EqualFold(name, "Bcc")) || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q: the header holds the line %q", uri, line)
			}
		}
	})
}

// FuzzMailbox holds what parseMailbox takes: it is an address, and printed and read
// again the same one.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{
		" ann @ example.org ", "Ann <ann(x)@example.org>", `"a, b" <"a b"@[192.0.2.1]>`, "..a..@b", "<>", "(((", `"\`, "a@b, c@d", "<<a@b>>", "a@\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseMailbox(s)
		if err == nil {
			if again, err := parseMailbox(a.String()); err != nil || again != a {
				t.Fatalf("%q is %q, then %q, %v", s, a, again, err)
			}
		}
		whole := strings.Join(splitMailboxes(s), ",")
		if len(whole) > len(s) {
			t.Fatalf("%q in pieces is %q", s, whole)
		}
	})
}
