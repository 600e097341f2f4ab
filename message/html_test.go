package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// htmlTexts are what a person reads of HTML.
var htmlTexts = []struct{ rule, html, want string }{
	{"text is text", "a b", "a b"},
	{"tags inside a word do not end it", "V<b>ia</b>g<span style='x'>r</span>a", "Viagra"},
	{"other tags do", "<p>one</p><p>two<br>three</p>", "one two three"},
	{"character references", "caf&eacute; &amp; &#x41;&nbsp;b", "café & A b"},
	{"references are resolved once", "&amp;lt;", "&lt;"},
	{"comments, also inside a word", "Via<!-- <b> > -->gra", "Viagra"},
	{"scripts and style sheets are not read", "a<STYLE>p { x }</style><script>if (a</b) {}</script>b", "a b"},
	{"a > inside quotes", `<a title="a > b">link</a>`, "link"},
	{"less than", "1 < 2 and 3 <4", "1 < 2 and 3 <4"},
	{"declarations", "<!DOCTYPE html><?xml version='1'?>x", "x"},
	{"an open tag", "a <b", "a"},
	{"an open comment", "a <!-- b", "a"},
	{"white space is one blank", "a\r\n\t  b", "a b"},
}

func TestHTMLText(t *testing.T) {
	t.Parallel()
	for _, tt := range htmlTexts {
		if got := HTMLText(tt.html); got != tt.want {
			t.Errorf("%s: %q is %q, want %q", tt.rule, tt.html, got, tt.want)
		}
	}
}

// TestHTMLTextIsLinear holds that openings without an end cost no more than
// their length: a quadratic reader takes minutes.
func TestHTMLTextIsLinear(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"<", "<a", "<!--", "<script>", "</", `<a b="`, "&"} {
		HTMLText(strings.Repeat(s, 4<<20/len(s)))
	}
}

func FuzzHTMLText(f *testing.F) {
	for _, tt := range htmlTexts {
		f.Add(tt.html)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := HTMLText(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q became invalid: %q", s, got)
		}
		if strings.Join(strings.Fields(got), " ") != got {
			t.Errorf("%q has white space: %q", s, got)
		}
	})
}
