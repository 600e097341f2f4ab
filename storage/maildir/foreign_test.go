package maildir

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

const alice = "example.org/alice@example.org/"

// foreign changes the tree behind our back.
type foreign struct {
	*box
}

func (f foreign) names(dir string) []string {
	f.t.Helper()
	names, err := f.fs.ReadDirNames(alice + dir)
	if err != nil {
		f.t.Fatal(err)
	}
	sortByArrival(names, itself)
	return names
}

func (f foreign) rename(from, to string) {
	f.t.Helper()
	if err := f.fs.Rename(alice+from, alice+to); err != nil {
		f.t.Fatal(err)
	}
}

func (f foreign) remove(name string) {
	f.t.Helper()
	if err := f.fs.Remove(alice + name); err != nil {
		f.t.Fatal(err)
	}
}

func (f foreign) uids() []storage.UID {
	f.t.Helper()
	var uids []storage.UID
	for _, m := range storagetest.Check(f.t, f.Mailbox).Messages {
		uids = append(uids, m.UID)
	}
	return uids
}

func (f foreign) want(uids ...storage.UID) {
	f.t.Helper()
	if got := f.uids(); !slices.Equal(got, uids) {
		f.t.Errorf("UIDs %d, want %d", got, uids)
	}
}

// TestForeignWriters holds what other programs may do while a mailbox is open.
// a, b and c are there with UIDs 1 to 3 and were shown.
func TestForeignWriters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		run  func(*testing.T, foreign)
	}{
		{"flags changed", func(t *testing.T, f foreign) {
			names := f.names("cur")
			f.rename("cur/"+names[1], "cur/"+names[1]+"FS")
			f.want(1, 2, 3)
			v := storagetest.Check(t, f.Mailbox)
			if v.Messages[1].Flags != storage.Flagged|storage.Seen || v.Messages[1].ModSeq <= v.Messages[0].ModSeq {
				t.Errorf("%+v", v.Messages)
			}
		}},
		{"content is found under the new name", func(t *testing.T, f foreign) {
			names := f.names("cur")
			f.rename("cur/"+names[1], "cur/"+names[1]+"S")
			if got := storagetest.Read(t, f, 2); got != storagetest.Text("b") {
				t.Errorf("%q", got)
			}
		}},
		{"our flags meet theirs", func(t *testing.T, f foreign) {
			names := f.names("cur")
			f.rename("cur/"+names[1], "cur/"+names[1]+"P")
			if _, err := f.SetFlags(t.Context(), []storage.UID{1, 2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0); err != nil {
				t.Fatal(err)
			}
			if now := f.names("cur"); now[0] != names[0]+"S" || now[1] != names[1]+"PS" {
				t.Errorf("%q", now)
			}
			f.want(1, 2, 3)
		}},
		{"our expunge meets their flags", func(t *testing.T, f foreign) {
			names := f.names("cur")
			f.rename("cur/"+names[1], "cur/"+names[1]+"P")
			if err := f.Expunge(t.Context(), []storage.UID{2}); err != nil {
				t.Fatal(err)
			}
			f.want(1, 3)
		}},
		{"our copy meets their flags", func(t *testing.T, f foreign) {
			if _, err := f.View(t.Context()); err != nil {
				t.Fatal(err)
			}
			names := f.names("cur")
			f.rename("cur/"+names[1], "cur/"+names[1]+"P")
			if _, err := f.Copy(t.Context(), []storage.UID{2}, f.Mailbox); err != nil {
				t.Fatal(err)
			}
			f.want(1, 2, 3, 4)
		}},
		{"the newest message removed: UIDNEXT stays, and N is raised", func(t *testing.T, f foreign) {
			f.remove("cur/" + f.names("cur")[2])
			f.want(1, 2)
			if list := f.read(alice + uidListFile); !strings.Contains(list, " N4 ") || strings.Contains(list, "\n3 ") {
				t.Errorf("%q", list)
			}
			if uid := f.append("d"); uid != 4 {
				t.Errorf("UID %d", uid)
			}
		}},
		{"a file in cur/ and in new/", func(_ *testing.T, f foreign) {
			f.write(alice+"new/2000000000.M1P1.other", storagetest.Text("new"))
			f.write(alice+"cur/1000000000.M1P1.other:2,S", storagetest.Text("old"))
			f.want(1, 2, 3, 4, 5)
			if got := storagetest.Subjects(f.t, f)[3:]; !slices.Equal(got, []string{"old", "new"}) {
				f.t.Errorf("%q", got)
			}
			if left := f.names("new"); len(left) != 0 {
				f.t.Errorf("in new/: %q", left)
			}
		}},
		{"a file moved back to new/ keeps its UID", func(_ *testing.T, f foreign) {
			name := f.names("cur")[1]
			f.rename("cur/"+name, "new/"+strings.TrimSuffix(name, flagMark))
			f.want(1, 2, 3)
		}},
		{"a line appended with a high UID", func(_ *testing.T, f foreign) {
			f.write(alice+"cur/2000000000.M1P1.other:2,", storagetest.Text("x"))
			f.write(alice+uidListFile, f.read(alice+uidListFile)+"40 :2000000000.M1P1.other\n")
			f.want(1, 2, 3, 40)
			if uid := f.append("d"); uid != 41 {
				f.t.Errorf("UID %d", uid)
			}
		}},
		{"the list rewritten with N100", func(_ *testing.T, f foreign) {
			l, err := parseUIDList(f.read(alice + uidListFile))
			if err != nil {
				f.t.Fatal(err)
			}
			l.next = 100
			f.write(alice+uidListFile, string(l.format()))
			if uid := f.append("d"); uid != 100 {
				f.t.Errorf("UID %d", uid)
			}
		}},
		{"the list without its last line end", func(_ *testing.T, f foreign) {
			f.write(alice+uidListFile, strings.TrimSuffix(f.read(alice+uidListFile), "\n"))
			f.want(1, 2, 4) // as Dovecot: the torn line does not count, but 3 was shown and stays used
		}},
		{"the list removed: UIDs and UIDVALIDITY stay", func(t *testing.T, f foreign) {
			before := storagetest.Check(t, f.Mailbox)
			f.remove(uidListFile)
			f.want(1, 2, 3)
			if v := storagetest.Check(t, f.Mailbox); v.UIDValidity != before.UIDValidity {
				t.Errorf("UIDVALIDITY %d, was %d", v.UIDValidity, before.UIDValidity)
			}
		}},
		{"another UIDVALIDITY is taken over", func(t *testing.T, f foreign) {
			l, _ := parseUIDList(f.read(alice + uidListFile))
			l.validity = 7
			f.write(alice+uidListFile, string(l.format()))
			if v := storagetest.Check(t, f.Mailbox); v.UIDValidity != 7 || len(v.Messages) != 3 {
				t.Errorf("%+v", v)
			}
		}},
		{"keywords: renamed, removed, unknown", func(t *testing.T, f foreign) {
			name := f.names("cur")[0]
			f.rename("cur/"+name, "cur/"+name+"az")
			f.write(alice+keywordsFile, "0 first\n")
			v := storagetest.Check(t, f.Mailbox)
			if got := v.KeywordNames(v.Messages[0].Keywords); !slices.Equal(got, []string{"first", "unknown-25"}) {
				t.Errorf("%q", got)
			}
			if got := f.read(alice + keywordsFile); got != "0 first\n25 unknown-25\n" {
				t.Errorf("%q", got)
			}
			f.write(alice+keywordsFile, "0 second\n25 unknown-25\n")
			now := storagetest.Check(t, f.Mailbox)
			if got := now.KeywordNames(now.Messages[0].Keywords); got[0] != "second" || now.Messages[0].ModSeq <= v.Messages[0].ModSeq {
				t.Errorf("%q, %+v", got, now.Messages[0])
			}
		}},
		{"what is no message is passed over", func(t *testing.T, f foreign) {
			f.write(alice+"cur/.hidden", "x")
			for _, dir := range []string{"cur/full", "cur/full/x", "cur/empty"} {
				if err := f.fs.Mkdir(alice+dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			f.want(1, 2, 3)
			if _, err := f.fs.Stat(alice + "cur/empty"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("empty directory: %v", err)
			}
			for _, dir := range []string{"cur/full/x", "cur/full"} {
				f.remove(dir)
			}
		}},
		{"two files with one base name", func(t *testing.T, f foreign) {
			name := f.names("cur")[0]
			f.write(alice+"cur/"+name+"S", f.read(alice+"cur/"+name))
			f.want(1, 2, 3, 4)
			f.want(1, 2, 3, 4)
		}},
		{"two names of one file are one message", func(t *testing.T, f foreign) {
			name := f.names("cur")[0]
			if err := f.fs.Link(alice+"cur/"+name, alice+"new/"+strings.TrimSuffix(name, flagMark)); err != nil {
				t.Fatal(err)
			}
			f.want(1, 2, 3)
		}},
		{"directories removed are made again", func(t *testing.T, f foreign) {
			for _, dir := range []string{"new", "tmp"} {
				f.remove(dir)
			}
			if err := f.Deliver(t.Context(), storagetest.Draft("d")); err != nil {
				t.Fatal(err)
			}
			f.want(1, 2, 3, 4)
		}},
		{"old files in tmp/ are removed, young ones and ours stay", func(t *testing.T, f foreign) {
			f.write(alice+"tmp/old", "x")
			time.Sleep(tempLives + time.Minute)
			f.write(alice+"tmp/young", "x")
			again := newBox(t, Config{FS: f.fs, Hostname: "again"})
			defer again.close()
			storagetest.Check(t, again)
			if got := f.names("tmp"); !slices.Equal(got, []string{"young"}) {
				t.Errorf("%q", got)
			}
			f.remove("tmp/young")
		}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tree := crashfs.New()
				b := newBox(t, Config{FS: tree, Hostname: "here"})
				for _, s := range []string{"a", "b", "c"} {
					b.append(s)
					time.Sleep(time.Second)
				}
				f := foreign{b}
				f.want(1, 2, 3)
				tt.run(t, f)
				b.close()
				if strings.HasPrefix(tt.rule, "what is no message") {
					return // .hidden is still there
				}
				if err := Check(tree, "."); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestForeignChangeIsNoticed holds that who waits hears within about a second
// of what others do, and that nothing polls without somebody who waits.
func TestForeignChangeIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tree := crashfs.New()
		b := newBox(t, Config{FS: tree, Hostname: "here"})
		defer b.close()
		b.append("a")
		time.Sleep(time.Minute)
		v := b.quiet()
		time.Sleep(time.Minute) // the waiter is told once more if a look came too soon
		v = b.quiet()
		changed := b.Changed(v)
		before := tree.Operations()
		time.Sleep(10500 * time.Millisecond)
		if ops := tree.Operations() - before; ops > 11*4 {
			t.Errorf("%d operations for ten looks", ops)
		}
		select {
		case <-changed:
			t.Fatal("changed without a change")
		default:
		}
		begun := time.Now()
		b.write(alice+"new/1.M1P1.other", storagetest.Text("x"))
		<-changed
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if now := b.quiet(); len(now.Messages) != 2 {
			t.Errorf("%d messages", len(now.Messages))
		}
		before = tree.Operations()
		time.Sleep(time.Minute)
		if ops := tree.Operations() - before; ops != 0 {
			t.Errorf("%d operations while nobody waits", ops)
		}
	})
}

func (b *box) quiet() *storage.View {
	b.t.Helper()
	v, err := b.View(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// TestQuickChanges holds that a change in the same step of the file system's
// clock as a look is not missed.
func TestQuickChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // here the clock stands still
		b := newBox(t, Config{FS: crashfs.New(), Hostname: "here"})
		defer b.close()
		for i := range 10 {
			b.write(alice+path.Join("new", string(rune('0'+i))+".M1P1.other"), storagetest.Text("x"))
			if v := b.quiet(); len(v.Messages) != i+1 {
				t.Fatalf("%d messages after %d", len(v.Messages), i+1)
			}
		}
	})
}
