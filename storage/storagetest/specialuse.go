package storagetest

import (
	"testing"

	"gomaild/storage"
)

// specialUseTests hold that uses which clients give stay with a mailbox.
var specialUseTests = []test{
	{"special uses that were given stay with a renamed mailbox", func(_ *testing.T, w *world) {
		w.create("Old")
		value := `\Archive \Nonsense \trash`
		w.ok(w.account.Annotate(w.ctx, "Old", map[string]*string{storage.SpecialUseEntry: &value}))
		w.uses("Old", `\Archive \Trash`)
		w.uses("Old", `\Archive \Trash`)
		w.ok(w.account.Rename(w.ctx, "Old", "New/Name"))
		w.uses("New/Name", `\Archive \Trash`)
		w.create("Old")
		w.uses("Old", "")
		w.ok(w.account.Delete(w.ctx, "New/Name"))
		w.create("New/Name")
		w.uses("New/Name", "")
		w.create("Trash")
		w.ok(w.account.Annotate(w.ctx, "Trash", map[string]*string{storage.SpecialUseEntry: &value}))
		w.uses("Trash", `\Trash \Archive`)
		w.ok(w.account.Annotate(w.ctx, "Trash", map[string]*string{storage.SpecialUseEntry: nil}))
		w.uses("Trash", `\Trash`)
	}},
}

// uses holds the special uses of a mailbox.
func (w *world) uses(name, want string) {
	w.t.Helper()
	infos, err := w.account.Mailboxes(w.ctx)
	w.ok(err)
	for _, info := range infos {
		if info.Name == name && info.SpecialUse != want {
			w.t.Errorf("%s has the uses %q, want %q", name, info.SpecialUse, want)
		}
	}
}
