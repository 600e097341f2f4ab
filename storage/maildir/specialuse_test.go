package maildir

import (
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
)

// TestGivenUses holds that special uses which clients gave follow a mailbox that
// another program renames, and that a LIST without a change reads no file.
func TestGivenUses(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	defer b.close()
	f := foreign{b}
	b.must(b.account.Create(t.Context(), "Old"))
	use := `\Archive`
	b.must(b.account.Annotate(t.Context(), "Old", map[string]*string{storage.SpecialUseEntry: &use}))
	has := func(name string) {
		t.Helper()
		infos, err := b.account.Mailboxes(t.Context())
		b.must(err)
		for _, info := range infos {
			if info.Name == name && info.SpecialUse == `\Archive` {
				return
			}
		}
		t.Errorf("%s has no special use: %+v", name, infos)
	}
	has("Old")
	f.rename(".Old", ".Renamed by others")
	has("Renamed by others")
	h := b.account.(*accountHandle)
	b.must(h.readUses())
	before := tree.Operations()
	b.must(h.readUses())
	if n := tree.Operations() - before; n > 1 {
		t.Errorf("%d operations to see that nothing changed", n)
	}
}
