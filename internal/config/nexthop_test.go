package config

import (
	"errors"
	"testing"
)

func TestSplitNextHop(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct {
		hop  NextHop
		port uint16
	}{
		"example.org":        {NextHop{"example.org", false}, 0},
		"Example.ORG:587":    {NextHop{"example.org", false}, 587},
		"[smtp.example.org]": {NextHop{"smtp.example.org", true}, 0},
		"[192.0.2.1]:2525":   {NextHop{"192.0.2.1", true}, 2525},
		"[2001:db8::1]:25":   {NextHop{"2001:db8::1", true}, 25},
	} {
		hop, port, err := SplitNextHop(s)
		if err != nil || hop != want.hop || port != want.port {
			t.Errorf("%s: %+v %d, %v", s, hop, port, err)
		}
	}
	for _, bad := range []string{"", ":25", "[a.test", "[a.test]25", "a.test:0", "a.test:x", "a.test:70000", "[]:25", "a b"} {
		if hop, _, err := SplitNextHop(bad); !errors.Is(err, ErrNextHop) {
			t.Errorf("%q: %+v, %v", bad, hop, err)
		}
	}
}

func FuzzSplitNextHop(f *testing.F) {
	for _, s := range []string{"[a.test]:25", "a:1", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hop, _, err := SplitNextHop(s); err == nil && hop.Host == "" {
			t.Errorf("%q is no host", s)
		}
	})
}
