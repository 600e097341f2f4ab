package acltext

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"gomaild/storage"
)

// TestParseACL holds the syntax of dovecot-acl, and that what is read is written
// as Dovecot writes it.
func TestParseACL(t *testing.T) {
	t.Parallel()
	lr := storage.RightLookup | storage.RightRead
	tests := []struct {
		rule, text string
		want       []storage.Grant // nil: ErrACL
		written    string
	}{
		{"a user", "user=bob@example.com akxeilprwts\n", []storage.Grant{{Kind: storage.GrantUser, Name: "bob@example.com", Rights: storage.AllRights}}, "user=bob@example.com akxeilprwts\n"},
		{"negative", "-user=bob lrs\n", []storage.Grant{{Kind: storage.GrantUser, Name: "bob", Negative: true, Rights: lr | storage.RightSeen}}, "-user=bob lrs\n"},
		{"no rights", "user=x \nowner\n", []storage.Grant{{Kind: storage.GrantUser, Name: "x"}, {Kind: storage.GrantOwner}}, "owner \nuser=x \n"},
		{"long names", "anyone :lookup read,write-seen\nauthenticated l :read \n", []storage.Grant{{Kind: storage.GrantAnyone, Rights: lr | storage.RightSeen}, {Kind: storage.GrantAuthenticated, Rights: lr}}, "anyone lrs\nauthenticated lr\n"},
		{"names that have no letter", "owner l :future\n", []storage.Grant{{Kind: storage.GrantOwner, Rights: storage.RightLookup, Others: []string{"future"}}}, "owner l :future\n"},
		{"in quotes", "\"user=a \\\"b\\\" c\" lr\n", []storage.Grant{{Kind: storage.GrantUser, Name: `a "b" c`, Rights: lr}}, "\"user=a \\\"b\\\" c\" lr\n"},
		{"comments, blank lines, no end", "# who\n\ngroup=x lr\r\ngroup-override=y l", []storage.Grant{{Kind: storage.GrantGroup, Name: "x", Rights: lr}, {Kind: storage.GrantGroupOverride, Name: "y", Rights: storage.RightLookup}}, "group=x lr\ngroup-override=y l\n"},
		{"older name of anyone", "anonymous l\n", []storage.Grant{{Kind: storage.GrantAnyone, Rights: storage.RightLookup}}, "anyone l\n"},
		{"unknown identifier", "somebody lr\n", nil, ""},
		{"letters of IMAP only", "user=x lrcd\n", nil, ""},
		{"unknown letter", "user=x lrz\n", nil, ""},
		{"junk behind the letters", "user=x lr s\n", nil, ""},
		{"quotes not closed", "\"user=x lr\n", nil, ""},
		{"quotes and no blank", "\"user=x\"lr\n", nil, ""},
		{"one bad line spoils all", "user=x lr\nuser\n", nil, ""},
		{"too long", strings.Repeat("user=x lr\n", MaxSize/10+1), nil, ""},
	}
	for _, tt := range tests {
		got, err := Parse(tt.text)
		if tt.want == nil {
			if !errors.Is(err, storage.ErrACL) {
				t.Errorf("%s: %+v, %v", tt.rule, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.rule, got, err, tt.want)
		}
		if written := string(Format(got)); written != tt.written {
			t.Errorf("%s: written %q, want %q", tt.rule, written, tt.written)
		}
	}
}

// FuzzParseACL holds that no file makes the parser panic, and that what is read
// is the same when it was written again.
func FuzzParseACL(f *testing.F) {
	for _, text := range []string{"user=a lr\n-owner x :y z\n", "\"group=a b\" :lookup\n", "# c\nanyone\n", "user=\tx l\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(string(Format(all)))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q: %+v became %+v, %v", text, all, again, err)
		}
	})
}

func TestParseRules(t *testing.T) {
	t.Parallel()
	all, err := ParseRules("# all\n* anyone l\n\"A B/?\" \"user=a b\" lr :x\nINBOX -owner w\n")
	if err != nil || len(all) != 3 || all[1].Pattern != "A B/?" || all[1].Name != "a b" || !all[1].Global || !all[2].Negative {
		t.Errorf("%+v, %v", all, err)
	}
	for _, text := range []string{"F\n", " anyone l\n", "F nobody l\n", "\"F anyone l\n", "F \n", strings.Repeat("F owner lr\n", maxRules/11+1)} {
		if _, err := ParseRules(text); !errors.Is(err, storage.ErrACL) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"*", "a/b", true},
		{"a*", "b", false},
		{"*b*d", "abcbd", true},
		{"*b*d", "abcb", false},
		{"a?c", "abc", true},
		{"a?", "a", false},
		{"a", "ab", false},
		{"", "", true},
		{"", "a", false},
		{"a**", "a", true},
		{strings.Repeat("*a", 1000) + "b", strings.Repeat("a", 100_000), false}, // in time
	} {
		if got := (Rule{Pattern: tt.pattern}).Matches(tt.name); got != tt.want {
			t.Errorf("%.20q matches %.20q: %v", tt.pattern, tt.name, got)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add("a* user=b lr\n\"a b\" \"-group=c d\" :lookup\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseRules(text)
		for _, r := range all {
			r.Matches(r.Pattern)
		}
		if err == nil && len(all) > strings.Count(text, "\n")+1 {
			t.Errorf("%d rules in %q", len(all), text)
		}
	})
}
