package maildir

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// meddler does something right before a call for many files.
type meddler struct {
	durable.FS
	before func(call int)
	calls  int
}

func (d *meddler) meddle() {
	d.calls++
	d.before(d.calls)
}

func (d *meddler) RenameIn(dir string, names []durable.NewName) (int, error) {
	d.meddle()
	return d.FS.RenameIn(dir, names)
}

func (d *meddler) RemoveIn(dir string, names []string) (int, error) {
	d.meddle()
	return d.FS.RemoveIn(dir, names)
}

// TestManyAtOnce holds that flags of more messages than go into one call, and
// their removal, meet what another program does between two calls: each message
// is dealt with once, and one that changed since is a conflict once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const n = 2*together + 5
	disk := &meddler{FS: newRoot(t, t.TempDir()), before: func(int) {}}
	b := newBox(t, Config{FS: disk, Hostname: "here"})
	defer b.close()
	f := foreign{b}
	var uids []storage.UID
	for i := range n {
		b.write(alice+fmt.Sprintf("cur/%d.M%06dP1.there:2,", 1000+i, i), storagetest.Text(fmt.Sprint(i)))
		uids = append(uids, storage.UID(i+1))
	}
	before := storagetest.Check(t, b.Mailbox)
	if _, err := b.SetFlags(t.Context(), []storage.UID{together - 1, together + 30}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Flagged}, 0); err != nil {
		t.Fatal(err)
	}

	// During the second call: of its files one gets a letter without a meaning, one
	// a flag, and one goes.
	disk.calls = 0
	disk.before = func(call int) {
		if call == 2 {
			names := f.names("cur")
			f.rename("cur/"+names[together+9], "cur/"+names[together+9]+"P")
			f.rename("cur/"+names[together+11], "cur/"+names[together+11]+"F")
			f.remove("cur/" + names[together+20])
		}
	}
	conflicts, err := b.SetFlags(t.Context(), uids, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, before.HighestModSeq)
	if want := []storage.UID{together - 1, together + 12, together + 30}; err != nil || !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %d, %v", conflicts, err)
	}
	uids = slices.Delete(uids, together+20, together+21)
	f.want(uids...)
	for _, m := range storagetest.Check(t, b.Mailbox).Messages {
		if isConflict := slices.Contains(conflicts, m.UID); m.Flags&storage.Seen == 0 != isConflict {
			t.Errorf("flags of %d: %v", m.UID, m.Flags)
		}
	}
	if names := f.names("cur"); !strings.HasSuffix(names[together+9], ":2,PS") {
		t.Errorf("%q", names[together+9])
	}

	disk.calls = 0
	disk.before = func(call int) {
		if call == 2 {
			names := f.names("cur")
			f.rename("cur/"+names[9], "cur/"+names[9]+"T")
		}
	}
	if err := b.Expunge(t.Context(), uids[5:len(uids)-5]); err != nil {
		t.Fatal(err)
	}
	f.want(append(uids[:5:5], uids[len(uids)-5:]...)...)
}
