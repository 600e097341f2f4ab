package maildir

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/storage"
)

// suffixTests are also seeds of FuzzFileName.
var suffixTests = []struct {
	rule, name string
	base       string
	flags      fileFlags
	rewritten  string // what a change of flags would write
}{
	{"no suffix", "1.M2P3.h", "1.M2P3.h", fileFlags{}, ":2,"},
	{"no flags", "1.M2P3.h:2,", "1.M2P3.h", fileFlags{}, ":2,"},
	{"flags", "1.h:2,FS", "1.h", fileFlags{system: storage.Flagged | storage.Seen}, ":2,FS"},
	{"all of them", "1.h:2,DFPRST", "1.h", fileFlags{system: 31, other: "P"}, ":2,DFPRST"},
	{"order is mended", "1.h:2,SRF", "1.h", fileFlags{system: storage.Flagged | storage.Seen | storage.Answered}, ":2,FRS"},
	{"keywords come last", "1.h:2,aSz", "1.h", fileFlags{system: storage.Seen, keywords: storage.KeywordsOf(0, 25)}, ":2,Saz"},
	{"unknown letters stay", "1.h:2,SXZ", "1.h", fileFlags{system: storage.Seen, other: "XZ"}, ":2,SXZ"},
	{"the last of two suffixes counts", "1.h:2,S:2,T", "1.h", fileFlags{system: storage.Deleted}, ":2,T"},
	{"experimental suffix holds no flags", "1.h:1,abc", "1.h", fileFlags{}, ":2,"},
	{"another separator is part of the name", "1.h!2,S", "1.h!2,S", fileFlags{}, ":2,"},
	{"sizes belong to the base", "1.h,S=3,W=4:2,S", "1.h,S=3,W=4", fileFlags{system: storage.Seen}, ":2,S"},
	{"a letter twice", "1.h:2,SSaaPP", "1.h", fileFlags{system: storage.Seen, keywords: storage.KeywordsOf(0), other: "P"}, ":2,PSa"},
}

func TestSuffix(t *testing.T) {
	t.Parallel()
	for _, tt := range suffixTests {
		base, suffix := splitName(tt.name)
		flags := parseSuffix(suffix)
		if base != tt.base || flags != tt.flags || flags.suffix() != tt.rewritten {
			t.Errorf("%s: %q is %q with %+v, written %q", tt.rule, tt.name, base, flags, flags.suffix())
		}
	}
}

func TestNameSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, base string
		want       sizes
	}{
		{"both", "1.h,S=404,W=418", sizes{404, 418}},
		{"order does not matter", "1.h,W=418,S=404", sizes{404, 418}},
		{"one", "1.h,S=162", sizes{162, -1}},
		{"none", "1.h", sizes{-1, -1}},
		{"not a number", "1.h,S=x,W=-1", sizes{-1, -1}},
		{"too great a number", "1.h,S=99999999999999999999", sizes{-1, -1}},
		{"other fields", "1.h,Q=1,S=2,Z", sizes{2, -1}},
	} {
		if got := nameSizes(tt.base); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.rule, got, tt.want)
		}
	}
}

func TestByArrival(t *testing.T) {
	t.Parallel()
	want := []string{
		"notimestamp",
		"1600000000.1001_1.host",
		"1600000000.M5P1.host",
		"1600000000.M40P1.host",
		"1600000000.M40P2.host",
		"1600000001.M0P1.host",
		"11600000001.M0P1.host",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	sortByArrival(got, itself)
	if !slices.Equal(got, want) {
		t.Errorf("order %q", got)
	}
}

// FuzzFileName holds that rewriting flags loses none of them and is stable, and
// that nothing breaks out of the name.
func FuzzFileName(f *testing.F) {
	for _, tt := range suffixTests {
		f.Add(tt.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base, suffix := splitName(name)
		if base+suffix != name {
			t.Fatalf("%q + %q", base, suffix)
		}
		flags := parseSuffix(suffix)
		written := flags.suffix()
		again := parseSuffix(written)
		if again.suffix() != written || again.system != flags.system || again.keywords != flags.keywords {
			t.Fatalf("%q: %+v, then %+v", name, flags, again)
		}
		if strings.ContainsAny(written[1:], "/:\n\x00") {
			t.Fatalf("%q", written)
		}
		nameSizes(base)
		nameArrival(base)
	})
}

// TestNamer holds that names rise while the clock stands or goes back.
func TestNamer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	n := newNamer(func() time.Time { now = now.Add(-time.Microsecond); return now }, 0x1f, 7, "a/b:c,d")
	last := n.next()
	if last != `1699999999.M999999X1fP7Q1.a\057b\072c\054d` {
		t.Errorf("first name %q", last)
	}
	for range 1000 {
		next := n.next()
		if arrivesBefore(next, last) || !n.made(next) || !isBaseName(next) {
			t.Fatalf("%q after %q", next, last)
		}
		last = next
	}
}

func arrivesBefore(a, b string) bool {
	names := []string{b, a}
	sortByArrival(names, itself)
	return a == b || names[0] == a
}

func itself(name string) string { return name }
