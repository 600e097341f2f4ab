package storagetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gomaild/storage"
)

// view makes a view of UIDs; a UID above 100 stands for that message minus 100
// with other flags.
func view(uids ...storage.UID) *storage.View {
	v := &storage.View{Keywords: []string{"kw"}}
	for _, uid := range uids {
		m := storage.Message{UID: uid, ModSeq: 1}
		if uid > 100 {
			m = storage.Message{UID: uid - 100, ModSeq: 2, Flags: storage.Seen}
		}
		v.Messages = append(v.Messages, m)
	}
	return v
}

func TestDiff(t *testing.T) {
	t.Parallel()
	same := view(1, 2)
	for _, tt := range []struct {
		rule     string
		old, now *storage.View
		want     []storage.Change
	}{
		{"the same view", same, same, nil},
		{"an equal view", view(1, 2), view(1, 2), nil},
		{"expunges from the highest number down", view(1, 2, 3, 4), view(2), []storage.Change{
			{Kind: storage.Expunged, Number: 4, UID: 4},
			{Kind: storage.Expunged, Number: 3, UID: 3},
			{Kind: storage.Expunged, Number: 1, UID: 1},
		}},
		{"new messages are one change", view(1), view(1, 2, 3), []storage.Change{{Kind: storage.Arrived, Number: 3}}},
		{"flags by the new number", view(1, 2), view(102), []storage.Change{
			{Kind: storage.Expunged, Number: 1, UID: 1},
			{Kind: storage.Flags, Number: 1, UID: 2, Message: view(102).Messages[0]},
		}},
		{"all at once, in this order", view(1, 2, 3), view(101, 3, 4), []storage.Change{
			{Kind: storage.Expunged, Number: 2, UID: 2},
			{Kind: storage.Arrived, Number: 3},
			{Kind: storage.Flags, Number: 1, UID: 1, Message: view(101).Messages[0]},
		}},
		{"flags of a new message are no change", view(), view(101), []storage.Change{{Kind: storage.Arrived, Number: 1}}},
		{"everything gone", view(1, 2), view(), []storage.Change{
			{Kind: storage.Expunged, Number: 2, UID: 2},
			{Kind: storage.Expunged, Number: 1, UID: 1},
		}},
	} {
		if got := storage.Diff(tt.old, tt.now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.rule, got, tt.want)
		}
	}
}

// TestDiffOfKeywordNames holds that a bit that means another name is a change.
func TestDiffOfKeywordNames(t *testing.T) {
	t.Parallel()
	old, now := view(1, 2), view(1, 2)
	old.Messages[1].Keywords, now.Messages[1].Keywords = storage.KeywordsOf(0), storage.KeywordsOf(0)
	now.Keywords = []string{"renamed"}
	got := storage.Diff(old, now)
	if len(got) != 1 || got[0].Kind != storage.Flags || got[0].Number != 2 {
		t.Errorf("%+v", got)
	}
}

// FuzzDiff plays a client: it knows an old view, applies what Diff says, one
// change after the other, and must know the new one.
func FuzzDiff(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		old, now := view(), view()
		for uid := storage.UID(1); uid <= 30; uid++ {
			inOld := rng.IntN(2) == 0 && uid <= 20
			if inOld {
				old.Messages = append(old.Messages, view(uid).Messages...)
			}
			if rng.IntN(2) == 0 && (inOld || uid > 20) {
				now.Messages = append(now.Messages, view(uid+100*storage.UID(rng.IntN(2))).Messages...)
			}
		}
		client := slices.Clone(old.Messages)
		for _, c := range storage.Diff(old, now) {
			switch c.Kind {
			case storage.Expunged:
				if client[c.Number-1].UID != c.UID {
					t.Fatalf("number %d is UID %d, not %d", c.Number, client[c.Number-1].UID, c.UID)
				}
				client = slices.Delete(client, c.Number-1, c.Number)
			case storage.Arrived:
				client = append(client, now.Messages[len(client):c.Number]...)
			case storage.Flags:
				if client[c.Number-1].UID != c.UID {
					t.Fatalf("number %d is UID %d, not %d", c.Number, client[c.Number-1].UID, c.UID)
				}
				client[c.Number-1] = c.Message
			}
		}
		if !slices.Equal(client, now.Messages) {
			t.Fatalf("client knows %+v, mailbox holds %+v", client, now.Messages)
		}
	})
}
