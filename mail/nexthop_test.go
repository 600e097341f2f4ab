package mail

import (
	"errors"
	"testing"
)

func TestParseNextHop(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]NextHop{
		"example.org":          {"example.org", false, 0},
		"Example.ORG:587":      {"example.org", false, 587},
		"example.org:smtp":     {"example.org", false, 25},
		"[a.test]:submission":  {"a.test", true, 587},
		"[smtp.example.org]":   {"smtp.example.org", true, 0},
		"[192.0.2.1]:2525":     {"192.0.2.1", true, 2525},
		"[2001:db8::1]:25":     {"2001:db8::1", true, 25},
		"[IPv6:2001:DB8:0::1]": {"2001:db8::1", true, 0},
	} {
		hop, err := ParseNextHop(s)
		if err != nil || hop != want {
			t.Errorf("%s: %+v, %v", s, hop, err)
		}
	}
	for _, bad := range []string{"", ":25", "[a.test", "[a.test]25", "a.test:0", "a.test:x", "a.test:70000", "[]:25", "a b", "[fe80::1%eth0]", "[[192.0.2.1]]", "a.test:"} {
		if hop, err := ParseNextHop(bad); !errors.Is(err, ErrNextHop) {
			t.Errorf("%q: %+v, %v", bad, hop, err)
		}
	}
}

// FuzzParseNextHop holds that what is read can be written and read again.
func FuzzParseNextHop(f *testing.F) {
	for _, s := range []string{"[a.test]:25", "a:1", "[::1]", "[ipv6:::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := ParseNextHop(s)
		if err != nil {
			return
		}
		again, err := ParseNextHop(hop.String())
		if hop.NoMX && (err != nil || again != hop) || hop.Host == "" {
			t.Errorf("%q is %+v, written %q, and again %+v, %v", s, hop, hop, again, err)
		}
	})
}
