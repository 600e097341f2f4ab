package acl

import (
	"slices"
	"strings"
	"testing"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	text := "shared/shared-boxes/user/me/zoe\n1\nshared/shared-boxes/user/other/x\n1\nshared/shared-boxes/anyone/all\n1\n" +
		"shared/shared-boxes/group/team/g\n1\nshared/shared-boxes/group/no/h\n1\nshared/shared-boxes/user/me/me\n1\n" +
		"priv/shared-boxes/user/me/p\n1\nshared/shared-boxes/anyone/\n1\nshared/shared-boxes/user/me/torn\n"
	got := owners(text, user{name: "me", groups: []string{"team"}})
	if want := []string{"all", "g", "zoe"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var many strings.Builder
	for i := range maxOwners + 10 {
		many.WriteString("shared/shared-boxes/anyone/" + strings.Repeat("x", i+1) + "\n1\n")
	}
	if got := owners(many.String(), user{}); len(got) != maxOwners {
		t.Errorf("%d owners, at most %d are looked at", len(got), maxOwners)
	}
}

// FuzzOwners holds that no dictionary makes its reader panic, and that what is
// read is the same when it was written again.
func FuzzOwners(f *testing.F) {
	f.Add("shared/shared-boxes/user/me/zoe\n1\nx\n", "me")
	f.Fuzz(func(t *testing.T, text, name string) {
		owners(text, user{name: name})
		all := parseDictionary(text)
		if again := parseDictionary(string(formatDictionary(all))); !slices.Equal(all, again) {
			t.Errorf("%q: %v became %v", text, all, again)
		}
	})
}
