package storage

import (
	"fmt"
	"testing"
)

// view holds these UIDs; every number below next that is missing was used.
func viewOf(next UID, modseq ModSeq, uids ...UID) *View {
	v := &View{UIDNext: next, HighestModSeq: modseq}
	for _, uid := range uids {
		v.Messages = append(v.Messages, Message{UID: uid, ModSeq: 1})
	}
	return v
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a, b, c := viewOf(9, 10, 2, 3, 5, 8), viewOf(9, 11, 2, 5, 8), viewOf(9, 12, 5)
	h := History{Since: 10}
	h.Record(nil, a)
	h.Record(a, b)
	h.Record(b, c)
	for _, tt := range []struct {
		rule  string
		v     *View
		since ModSeq
		want  string
	}{
		{"what went since", c, 10, "[{2 3} {8 8}]"},
		{"not what went before", c, 11, "[{2 2} {8 8}]"},
		{"nothing for who knows all", c, 12, "[]"},
		{"not what an older view still holds", b, 10, "[{3 3}]"},
		{"before the history began: every UID that is not in use", c, 9, "[{1 4} {6 8}]"},
		{"UIDs above UIDNEXT were never used", viewOf(8, 12), 11, "[{2 2}]"},
	} {
		if got := fmt.Sprint(h.Vanished(tt.v, tt.since)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
}

// A history that is too long forgets whole steps and says since when it knows.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	var all []UID
	for uid := range UID(maxGone + 100) {
		all = append(all, uid+1)
	}
	var h History
	old := viewOf(maxGone+101, 1, all...)
	for n := ModSeq(2); len(old.Messages) > 0; n++ {
		now := viewOf(old.UIDNext, n, all[:max(0, len(old.Messages)-50)]...)
		h.Record(old, now)
		old = now
	}
	if len(h.Gone) > maxGone || h.Since == 0 || h.Gone[0].ModSeq != h.Since+1 {
		t.Errorf("%d kept since %d", len(h.Gone), h.Since)
	}
	if got := h.Vanished(old, h.Since-1); fmt.Sprint(got) != fmt.Sprintf("[{1 %d}]", maxGone+100) {
		t.Errorf("of the forgotten time: %v", got)
	}
}
