package imap

import (
	"slices"
	"strings"
	"testing"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// TestCommandTable holds what parse relies on, and which commands hold back
// EXPUNGE: those that RFC 3501 section 7.4.1 names, SORT and THREAD, which are searches, and
// COPY, after which clients rely on the numbers they gave.
func TestCommandTable(t *testing.T) {
	t.Parallel()
	if !slices.IsSortedFunc(commands, func(a, b command) int { return strings.Compare(a.name, b.name) }) {
		t.Error("commands are not sorted by name")
	}
	var holding []string
	for _, c := range commands {
		if c.usesNumbers {
			holding = append(holding, c.name)
		}
	}
	if want := []string{"COPY", "FETCH", "SEARCH", "SORT", "STORE", "THREAD"}; !slices.Equal(holding, want) {
		t.Errorf("commands that hold back EXPUNGE: %v, want %v", holding, want)
	}
}

func viewOf(uids ...storage.UID) *storage.View {
	v := &storage.View{UIDValidity: 1, UIDNext: 100}
	for _, uid := range uids {
		v.Messages = append(v.Messages, storage.Message{UID: uid})
	}
	return v
}

func TestResolve(t *testing.T) {
	t.Parallel()
	v := viewOf(2, 4, 6, 8)
	tests := []struct {
		rule  string
		set   wire.NumSet
		byUID bool
		view  *storage.View
		want  []storage.UID // nil with bad
		bad   bool
	}{
		{"numbers", wire.NumSet{{First: 1, Last: 2}}, false, v, []storage.UID{2, 4}, false},
		{"ends in either order, overlapping", wire.NumSet{{First: 3, Last: 2}, {First: 2, Last: 4}}, false, v, []storage.UID{4, 6, 8}, false},
		{"the last", wire.NumSet{{First: wire.Star, Last: wire.Star}}, false, v, []storage.UID{8}, false},
		{"*:1 is all", wire.NumSet{{First: wire.Star, Last: 1}}, false, v, []storage.UID{2, 4, 6, 8}, false},
		{"more than there are", wire.NumSet{{First: 3, Last: 4294967295}}, false, v, []storage.UID{6, 8}, false},
		{"none of them", wire.NumSet{{First: 5, Last: 5}}, false, v, nil, true},
		{"1:* in an empty mailbox", wire.NumSet{{First: 1, Last: wire.Star}}, false, viewOf(), []storage.UID{}, false},
		{"UIDs that exist", wire.NumSet{{First: 3, Last: 6}, {First: 8, Last: 8}}, true, v, []storage.UID{4, 6, 8}, false},
		{"UIDs that do not", wire.NumSet{{First: 3, Last: 3}, {First: 9, Last: 20}}, true, v, []storage.UID{}, false},
		{"beyond the last:* is the last", wire.NumSet{{First: 50, Last: wire.Star}}, true, v, []storage.UID{8}, false},
		{"all UIDs", wire.NumSet{{First: 1, Last: 4294967295}}, true, v, []storage.UID{2, 4, 6, 8}, false},
		{"UID * in an empty mailbox", wire.NumSet{{First: wire.Star, Last: wire.Star}}, true, viewOf(), []storage.UID{}, false},
	}
	for _, tt := range tests {
		where, err := resolve(tt.view, tt.set, tt.byUID)
		if got := where.uids(tt.view); (err != nil) != tt.bad || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.rule, got, err, tt.want)
		}
		for i := range tt.view.Messages {
			if got := where.has(i); got != slices.Contains(tt.want, tt.view.Messages[i].UID) {
				t.Errorf("%s: has(%d) is %v", tt.rule, i, got)
			}
		}
	}
}

func TestWithHeld(t *testing.T) {
	t.Parallel()
	known := viewOf(1, 2, 3, 5)
	known.Keywords = []string{"$A", "$B"}
	known.Messages[1].Keywords = storage.KeywordsOf(0, 1)
	now := viewOf(1, 5, 7)
	now.Keywords = []string{"$B"}
	now.Messages[0].Flags = storage.Seen

	held := withHeld(known, now)
	var uids []storage.UID
	for _, m := range held.Messages {
		uids = append(uids, m.UID)
	}
	if want := []storage.UID{1, 2, 3, 5, 7}; !slices.Equal(uids, want) {
		t.Errorf("messages %v, want %v", uids, want)
	}
	if m := held.Messages[1]; m.Keywords != storage.KeywordsOf(0) {
		t.Errorf("keywords of the held message %q, want those with a name in the new view", m.Keywords)
	}
	if held.Messages[0].Flags != storage.Seen {
		t.Error("flags of a message that is still there are not its present ones")
	}
	if withHeld(viewOf(1, 5), now) != now {
		t.Error("without a message to hold the view is another")
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, text, needle string
		want               bool
	}{
		{"any case", "Report", "rEPORT", true},
		{"any case beyond ASCII", "GRÜßE ΣΑΣ", "grüße σας", true},
		{"composed and apart", "Gr\u00fcn", "gru\u0308n", true},
		{"compatible forms", "\uff21\u2460 \u212a", "a1 k", true},
		{"nothing is everywhere", "", "", true},
		{"not there", "repor", "report", false},
		{"across the edge of the buffer", strings.Repeat("x", textBuffer-3) + "needle", "needle", true},
		{"a character across the edge", strings.Repeat("x", textBuffer-1) + "ü!", "ü!", true},
		{"half a character at the end", "x\xc3", "x", true},
		{"a needle longer than the buffer", strings.Repeat("ab", textBuffer), strings.Repeat("ab", textBuffer-1) + "a", true},
	}
	for _, tt := range tests {
		got, err := contains(strings.NewReader(tt.text), fold(tt.needle))
		if got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.rule, got, err)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false},
		{"a/*", "a", false}, {"a*", "a", true}, {"%/%", "a/b", true}, {"inbox", "INBOX", true}, {"InB%", "INBOX", true},
		{"inbox/x", "INBOX/x", true}, {"INBOX/X", "INBOX/x", false}, {"Work", "work", false}, {"", "a", false},
	}
	for _, tt := range tests {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("pattern %q, name %q: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	type ranges = []storage.UIDRange
	tests := []struct {
		rule string
		a, b ranges
		want string
	}{
		{"nothing", nil, ranges{{First: 1, Last: 5}}, ""},
		{"apart", ranges{{First: 1, Last: 2}}, ranges{{First: 3, Last: 5}}, ""},
		{"inside", ranges{{First: 1, Last: 9}}, ranges{{First: 3, Last: 5}, {First: 9, Last: 20}}, "3:5,9"},
		{"the last UID there is", ranges{{First: 4294967290, Last: 4294967295}}, ranges{{First: 1, Last: 4294967295}}, "4294967290:4294967295"},
	}
	for _, tt := range tests {
		if got := string(appendRanges(nil, overlap(tt.a, tt.b))); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
}
