package maildir

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestAppendAllFaults lets every single operation of an AppendAll fail, once: then
// all or none of the messages are there, as it says, now and for who opens the
// mailbox next. Only a lock that stays makes it say no when all are.
func TestAppendAllFaults(t *testing.T) {
	t.Parallel()
	for n := 1; !t.Failed(); n++ {
		tree := crashfs.New()
		c := Config{FS: tree, Hostname: "here"}
		b := newBox(t, c)
		b.append("a")
		b.quiet()
		count, failed := 0, ""
		tree.Inject(func(o crashfs.Op) error {
			if count++; count == n {
				failed = o.Kind + " " + o.Name
				return syscall.EIO
			}
			return nil
		})
		uids, err := b.AppendAll(t.Context(), slices.Values([]storage.Draft{storagetest.Draft("b"), storagetest.Draft("c")}))
		tree.Inject(nil)
		want := []string{"a"}
		if err == nil || strings.HasPrefix(failed, "remove ") && strings.HasSuffix(failed, uidListFile+".lock") {
			want = []string{"a", "b", "c"}
		}
		if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, want) {
			t.Errorf("%s fails: %v, %d; there are %q", failed, err, uids, got)
		}
		b.close()
		b = newBox(t, c)
		if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, want) {
			t.Errorf("%s fails: %v; the next finds %q", failed, err, got)
		}
		b.close()
		if failed == "" {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

// TestForeignAppendFile holds that names which others put into the file bring in
// nothing from elsewhere.
func TestForeignAppendFile(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	b.append("a")
	b.close()
	f := foreign{b}
	f.write(alice+"tmp/1.x", storagetest.Text("good"))
	f.write(alice+appendFile, "../dovecot-uidlist 2.x:2,\n1.x ../3.x:2,\n1.x 4.x/../../5.x\n.. 6.x:2,\n1.x :2,\nmissing 7.x:2,\n1.x 8.x:2,S\n1.x 9.x:2,")
	b = newBox(t, Config{FS: tree, Hostname: "here"})
	if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, []string{"a", "good"}) {
		t.Errorf("messages %q", got)
	}
	if _, err := tree.Stat(alice + appendFile); err == nil {
		t.Error("the file is still there")
	}
	b.close()
}
