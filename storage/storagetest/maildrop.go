package storagetest

import (
	"testing"

	"gomaild/storage"
)

// maildropInOrder holds that Maildrop names each message of the view once, with
// the size that Info tells and a name that stays, and leaves out what is gone.
func maildropInOrder(t *testing.T, w *world) {
	box := w.open("INBOX")
	uids := w.fill(box, "one", "two", "three")
	view := w.view(box)
	before, err := box.Maildrop(w.ctx, view)
	w.ok(err)
	w.ok(box.Expunge(w.ctx, uids[1:2]))
	_, err = box.SetFlags(w.ctx, uids, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
	w.ok(err)
	after, err := box.Maildrop(w.ctx, view)
	w.ok(err)
	if len(before) != 3 || len(after) != 2 || after[0] != before[0] || after[1] != before[2] {
		t.Fatalf("before %+v\nafter %+v", before, after)
	}
	for _, e := range after {
		info, err := box.Info(w.ctx, e.UID)
		w.ok(err)
		if e.WireSize != info.WireSize || e.Name == "" {
			t.Errorf("%+v, info %+v", e, info)
		}
	}
}
