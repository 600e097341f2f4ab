package filter

import (
	"maps"
	"testing"
	"time"
)

// FuzzSeen holds that a damaged memory is read for what it is worth, and what is
// written is read again.
func FuzzSeen(f *testing.F) {
	f.Add("key 99999999999\nold 1\n")
	f.Add("key\n key 9223372036854775807 x\n\x00 9223372036854775807\r\nkey -1\n\n")
	now := time.Unix(1_000_000, 0)
	f.Fuzz(func(t *testing.T, text string) {
		s := parseSeen(text, now)
		for key := range s.until {
			if !s.has(key) {
				t.Errorf("%q is in the memory, and over", key)
			}
		}
		if again := parseSeen(string(s.format()), now); !maps.Equal(again.until, s.until) {
			t.Errorf("%q: %v, then %v", text, s.until, again.until)
		}
	})
}
