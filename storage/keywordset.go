package storage

import (
	"iter"
	"math/bits"
	"strings"
)

// MaxKeywords is how many keywords a mailbox can have: as many as any client
// was ever seen to make, and few enough that FLAGS stays a line.
const MaxKeywords = 512

// KeywordSet is a set of keywords of one View: i is in it if it has
// View.Keywords[i]. Sets are values: equal ones compare as equal, the zero
// value is empty.
type KeywordSet string // bit i%8 of octet i/8; the last octet is not 0

// KeywordsOf is the set of the keywords at these positions.
func KeywordsOf(positions ...int) KeywordSet {
	var s KeywordSet
	for _, i := range positions {
		s = s.With(i)
	}
	return s
}

// Has reports whether the keyword at position i is in the set.
func (s KeywordSet) Has(i int) bool { return i/8 < len(s) && s[i/8]&(1<<(i%8)) != 0 }

// With is the set and the keyword at position i.
func (s KeywordSet) With(i int) KeywordSet {
	if s.Has(i) {
		return s
	}
	b := make([]byte, max(len(s), i/8+1))
	copy(b, s)
	b[i/8] |= 1 << (i % 8)
	return KeywordSet(b)
}

// Union is what is in one of the sets or in both.
func (s KeywordSet) Union(t KeywordSet) KeywordSet {
	if len(s) < len(t) {
		s, t = t, s
	}
	if t == "" || s == t {
		return s
	}
	b := []byte(s)
	for i := range len(t) {
		b[i] |= t[i]
	}
	return KeywordSet(b)
}

// Minus is what is in the set and not in t.
func (s KeywordSet) Minus(t KeywordSet) KeywordSet {
	if s == "" || t == "" {
		return s
	}
	b := []byte(s)
	for i := range min(len(s), len(t)) {
		b[i] &^= t[i]
	}
	return KeywordSet(strings.TrimRight(string(b), "\x00"))
}

// Intersects reports whether something is in both sets.
func (s KeywordSet) Intersects(t KeywordSet) bool {
	for i := range min(len(s), len(t)) {
		if s[i]&t[i] != 0 {
			return true
		}
	}
	return false
}

// Len is how many keywords are in the set.
func (s KeywordSet) Len() int {
	n := 0
	for i := range len(s) {
		n += bits.OnesCount8(s[i])
	}
	return n
}

// All are the positions in the set, ascending.
func (s KeywordSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(s) {
			for octet := s[i]; octet != 0; octet &= octet - 1 {
				if !yield(8*i + bits.TrailingZeros8(octet)) {
					return
				}
			}
		}
	}
}
