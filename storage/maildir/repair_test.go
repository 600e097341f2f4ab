package maildir

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestRepair breaks one rule at a time: Check must see it, Repair must mend it,
// and no message may be lost.
func TestRepair(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		rule  string
		spoil func(b *box)
		fault string // in what Check says
		uids  []storage.UID
	}{
		{"nothing is wrong", func(*box) {}, "", []storage.UID{1, 2}},
		{"an old lock", func(b *box) { b.write(alice+"dovecot-uidlist.lock", "") }, "left behind", []storage.UID{1, 2}},
		{"a fresh lock is somebody's", func(b *box) { b.write(alice+"subscriptions.lock", "") }, "", []storage.UID{1, 2}},
		{"an old file in tmp", func(b *box) { b.write(alice+"tmp/x", "") }, "left behind", []storage.UID{1, 2}},
		{"a directory is missing", func(b *box) { b.must(b.fs.Remove(alice + "tmp")) }, "tmp/ is missing", []storage.UID{1, 2}},
		{"a uidlist that ends too soon", func(b *box) {
			list := b.read(alice + uidListFile)
			b.write(alice+uidListFile, strings.TrimSuffix(list, "\n"))
		}, "damaged", []storage.UID{1, 3}},
		{"no uidlist header", func(b *box) { b.write(alice+uidListFile, "garbage\n") }, "unreadable header", []storage.UID{1, 2}},
		{"a name that tells wrong sizes", func(b *box) { b.write(alice+"cur/1.a,S=5,W=6:2,S", long) }, "holds 100 octets", []storage.UID{1, 2, 4}},
		{"a letter without a name", func(b *box) { b.write(alice+"cur/1.a:2,q", long) }, "have no name", []storage.UID{1, 2, 3}},
		{"a wrong maildirsize", func(b *box) { b.write(alice+usageFile, "0S\n7 7\n") }, "says 7 octets in 7 messages", []storage.UID{1, 2}},
		{"a damaged index", func(b *box) { b.write(alice+indexFile, "x") }, "index is damaged", []storage.UID{1, 2}},
		{"a UIDVALIDITY above all", func(b *box) {
			b.must(b.fs.Mkdir(alice+".Sub", 0o700))
			b.write(alice+".Sub/"+uidListFile, "3 V4294967290 N1 G"+strings.Repeat("0", 32)+"\n")
			for _, sub := range []string{"cur", "new", "tmp"} {
				b.must(b.fs.Mkdir(alice+".Sub/"+sub, 0o700))
			}
		}, "above the last", []storage.UID{1, 2}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			tree := crashfs.New()
			first := newBox(t, Config{FS: tree, Hostname: "here"})
			first.append("a")
			first.append("b")
			first.close()
			clock := time.Now()
			b := newBox(t, Config{FS: tree, Hostname: "here", Clock: func() time.Time { return clock }})
			defer b.close()
			tt.spoil(b)
			if strings.Contains(tt.rule, "an old") {
				clock = clock.Add(48 * time.Hour)
			}
			faults, err := b.account.Check(t.Context())
			if err != nil || (len(faults) > 0) != (tt.fault != "") || !strings.Contains(strings.Join(faults, "\n"), tt.fault) {
				t.Fatalf("%q, %v", faults, err)
			}
			if err := b.account.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			if faults, err = b.account.Check(t.Context()); err != nil || len(faults) > 0 {
				t.Errorf("after the repair: %q, %v", faults, err)
			}
			v, err := b.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var uids []storage.UID
			for _, m := range v.Messages {
				uids = append(uids, m.UID)
			}
			if len(uids) != len(tt.uids) {
				t.Errorf("UIDs %v, want %v", uids, tt.uids)
			}
			for i := range min(len(uids), len(tt.uids)) {
				if uids[i] != tt.uids[i] {
					t.Errorf("UIDs %v, want %v", uids, tt.uids)
				}
			}
			storagetest.Check(t, b.Mailbox)
		})
	}
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestCheckSpoiltTrees holds that the trees that other programs left are mended
// without losing a message.
func TestCheckSpoiltTrees(t *testing.T) {
	t.Parallel()
	root := t.TempDir() + "/tree"
	untar(t, "../../testdata/maildir/dovecot.tar.gz", root)
	fsys := newRoot(t, root+"/mail")
	store, err := New(Config{FS: fsys, Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, dir := range []string{"example.com/dave@example.com", "example.com/frank@example.com"} {
		before, err := store.countAccount(dir)
		if err != nil {
			t.Fatal(err)
		}
		o := storagetest.Alice()
		o.Address.Local, o.Address.Domain, _ = strings.Cut(dir[len("example.com/"):], "@")
		a, err := store.Account(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := a.Check(t.Context())
		if err != nil || len(faults) == 0 {
			t.Errorf("%s: %q, %v", dir, faults, err)
		}
		if err := a.Repair(t.Context()); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if faults, err = a.Check(t.Context()); err != nil || len(faults) > 0 {
			t.Errorf("%s after the repair: %q, %v", dir, faults, err)
		}
		after, err := store.countAccount(dir)
		if err = errors.Join(err, a.Close()); err != nil || after.Messages != before.Messages {
			t.Errorf("%s: %+v before, %+v after, %v", dir, before, after, err)
		}
	}
	if _, err := os.Stat(root + "/mail/example.com/alice@example.com/maildirsize"); err != nil {
		t.Error("another account was touched:", err)
	}
}
