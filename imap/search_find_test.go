package imap

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// FuzzFinder: what is found without folding is what folding would find.
func FuzzFinder(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""},
		{"text", ""},
		{"Some text", "E T"},
		{"SOME TEXT", "some text"},
		{"aaaaaaaab", "aab"},
		{"caf\u00e9s", "cafe\u0301s"},
		{"caf\u00e9s", "cafe"},
		{"\u212aelvin", "kelvin"},
		{"a\u017f\u017fb", "assb"},
		{"x\u00fc.\u00fcy", "\u00fc.\u00fc"},
		{"a\xffb", "a\ufffdb"},
		{"\xe2\x82", "\ufffd\ufffd"},
		{"[{@`", "{"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, needle string) {
		needle = fold(needle)
		want := strings.Contains(fold(text), needle)
		if got := newFinder(needle).in([]byte(text)); got != want {
			t.Errorf("%q in %q: %v, want %v", needle, text, got, want)
		}
	})
}

// TestFinderNearMisses: a needle that nearly matches at every octet does not cost
// its length at each of them.
func TestFinderNearMisses(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("a"), searchAtOnce)
	needle := fold(strings.Repeat("a", 60<<10) + " " + strings.Repeat("a", 1000)) // a blank is no rarer than an "a"
	took := peertest.ThreadTime(t, func() {
		if newFinder(needle).in(text) {
			t.Error("found what is not there")
		}
	})
	if took > 3*time.Second { // 10 s octet by octet
		t.Errorf("took %v", took)
	}
	if !newFinder(needle).in(append(text, fold(needle)...)) {
		t.Error("what is at the end is not found")
	}
}

func BenchmarkFinder(b *testing.B) {
	text := []byte(strings.Repeat("The budget meeting on Thursday was moved to the larger room. ", 50))
	f := newFinder(fold("nowheretobefound"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		f.in(text)
	}
}
