package sieve

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gomaild/mail"
)

// comparator is a collation of RFC 4790.
type comparator struct {
	name      string
	fold      func(string) string // nil: octets as they are
	compare   func(a, b string) int
	equal     func(a, b string) bool
	substring bool // has a substring operation
	octets    bool // fold changes octets one by one, if any
	ascii     bool // i;ascii-casemap
}

func comparators() []*comparator {
	return []*comparator{
		{name: "i;ascii-casemap", fold: mail.FoldASCII, compare: compareFolded(mail.FoldASCII), equal: equalASCII, substring: true, octets: true, ascii: true},
		{name: "i;octet", compare: strings.Compare, equal: func(a, b string) bool { return a == b }, substring: true, octets: true},
		{name: "i;ascii-numeric", compare: compareNumeric, equal: func(a, b string) bool { return compareNumeric(a, b) == 0 }},
		{name: "i;unicode-casemap", fold: foldUnicode, compare: compareFolded(foldUnicode), equal: equalFolded(foldUnicode), substring: true},
	}
}

func compareFolded(fold func(string) string) func(a, b string) int {
	return func(a, b string) int { return strings.Compare(fold(a), fold(b)) }
}

func equalFolded(fold func(string) string) func(a, b string) bool {
	return func(a, b string) bool { return fold(a) == fold(b) }
}

// equalASCII is equality without regard to the case of ASCII letters.
func equalASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// foldUnicode is title case, decomposed: RFC 5051 section 2.
func foldUnicode(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	return norm.NFKD.String(strings.Map(unicode.ToTitle, norm.NFKD.String(s)))
}

// compareNumeric is RFC 4790 section 9.1: what does not begin with a digit is
// positive infinity.
func compareNumeric(a, b string) int {
	x, okX := leadingDigits(a)
	y, okY := leadingDigits(b)
	switch {
	case !okX && !okY:
		return 0
	case !okX:
		return 1
	case !okY:
		return -1
	}
	if c := cmp.Compare(len(x), len(y)); c != 0 {
		return c
	}
	return strings.Compare(x, y)
}

func leadingDigits(s string) (string, bool) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), n > 0
}
