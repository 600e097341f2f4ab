package maildir

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

func (b *box) saved(m storage.Mailbox, uid storage.UID) time.Time {
	b.t.Helper()
	info, err := m.Info(b.t.Context(), uid)
	if err != nil {
		b.t.Fatal(err)
	}
	return info.SaveDate
}

var dateField = regexp.MustCompile(` D[0-9]+`)

// TestSaveDate holds that a message keeps the date at which it came into its
// mailbox, and that a copy has one of its own.
func TestSaveDate(t *testing.T) {
	t.Parallel()
	root := newRoot(t, t.TempDir())
	clock := time.Unix(1_600_000_000, 0)
	b := newBox(t, Config{FS: root, Hostname: "here", Clock: func() time.Time { return clock }})
	b.append("a")
	day := clock
	clock = clock.Add(24 * time.Hour)
	flag := storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}
	if _, err := b.SetFlags(t.Context(), []storage.UID{1}, flag, 0); err != nil {
		t.Fatal(err)
	}
	copied, err := b.Copy(t.Context(), []storage.UID{1}, b.Mailbox)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.saved(b, 1); !got.Equal(day) {
		t.Errorf("saved %v, then %v", day, got)
	}
	if got := b.saved(b, copied[0]); !got.Equal(clock) {
		t.Errorf("copied %v, saved %v", clock, got)
	}
	b.close()

	// Another program wrote the list: what the inode says is kept from before
	// our first rename on.
	b = newBox(t, Config{FS: root, Hostname: "here"})
	defer b.close()
	list := b.read(alice + uidListFile)
	if got := len(dateField.FindAllString(list, -1)); got != 2 {
		t.Fatalf("%d dates in %q", got, list)
	}
	b.write(alice+uidListFile, dateField.ReplaceAllString(list, ""))
	b.write(alice+"new/1.delivered", storagetest.Text("b"))
	storagetest.Check(t, b.Mailbox)
	if list = b.read(alice + uidListFile); len(dateField.FindAllString(list, -1)) != 1 {
		t.Errorf("after a look: %q", list)
	}
	if got := b.saved(b, 1); time.Since(got) > time.Hour {
		t.Errorf("without a date: %v", got)
	}
	if _, err := b.SetFlags(t.Context(), []storage.UID{2}, storage.FlagEdit{Op: storage.RemoveFlags, Flags: storage.Seen}, 0); err != nil {
		t.Fatal(err)
	}
	list = b.read(alice + uidListFile)
	if got := len(dateField.FindAllString(list, -1)); got != 3 {
		t.Errorf("%d dates after a change of flags: %q", got, list)
	}
	old := dateField.ReplaceAllString(list, " P D1500000000 Kx")
	b.write(alice+uidListFile, old)
	storagetest.Check(t, b.Mailbox)
	if got := b.saved(b, 3); got.Unix() != 1_500_000_000 {
		t.Errorf("among other fields: %v", got)
	}
	if b.append("c"); !strings.HasPrefix(b.read(alice+uidListFile), old) {
		t.Errorf("fields were not kept: %q", b.read(alice+uidListFile))
	}
}

// TestSaveDateOfNew holds that moving from new/ to cur/ moves no date, where
// another program wrote the line already.
func TestSaveDateOfNew(t *testing.T) {
	t.Parallel()
	b := newBox(t, Config{FS: newRoot(t, t.TempDir()), Hostname: "here"})
	defer b.close()
	b.append("a")
	b.write(alice+"new/5.other", storagetest.Text("b"))
	b.write(alice+uidListFile, b.read(alice+uidListFile)+"2 :5.other\n")
	if v := storagetest.Check(t, b.Mailbox); len(v.Messages) != 2 {
		t.Fatalf("%+v", v.Messages)
	}
	if list := b.read(alice + uidListFile); len(dateField.FindAllString(list, -1)) != 2 {
		t.Errorf("%q", list)
	}
}

// TestRenamedStaysRenamed holds that a message which gets another name because
// two had one does not come back from the journal under the old one, nor takes
// the other's place.
func TestRenamedStaysRenamed(t *testing.T) {
	t.Parallel()
	root := newRoot(t, t.TempDir())
	open := func() *journal.Journal {
		j, err := journal.Open(journal.Config{FS: root, Dir: ".gomaild", Size: 128 << 10, Interval: -1})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	b := newBox(t, Config{FS: root, Journal: j, Hostname: "here"})
	f := foreign{b}
	if err := b.Deliver(t.Context(), storagetest.Draft("a")); err != nil {
		t.Fatal(err)
	}
	name := f.names("new")[0]
	b.write(alice+"cur/"+name+":2,S", strings.ReplaceAll(storagetest.Text("b"), "\r\n", "\n"))
	f.want(1, 2)
	if err := b.Mailbox.Close(); err != nil {
		t.Fatal(err)
	}
	again := open() // the first was killed
	c := newBox(t, Config{FS: root, Journal: again, Hostname: "here"})
	(foreign{c}).want(1, 2)
	if got := fmt.Sprint(storagetest.Subjects(t, c)); got != "[b a]" {
		t.Errorf("%s", got)
	}
	c.close()
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := b.account.Close(); err != nil {
		t.Error(err)
	}
	if err := b.store.Close(); err != nil {
		t.Error(err)
	}
	_ = j.Close() // its files are the other's
}

// TestBeside holds what a program that works beside a daemon leaves alone: names
// of the last minute, which the daemon's journal may know, and indexes.
func TestBeside(t *testing.T) {
	t.Parallel()
	root := newRoot(t, t.TempDir())
	daemon := newBox(t, Config{FS: root, Hostname: "here"})
	defer daemon.close()
	f := foreign{daemon}
	daemon.append("a")
	f.want(1)

	clock := time.Now()
	beside := newBox(t, Config{FS: root, Hostname: "here", Beside: true, Clock: func() time.Time { return clock }})
	defer beside.close()
	daemon.write(alice+"cur/5.a,S=5,W=6:2,S", "Subject: a longer one\n\n")
	storagetest.Check(t, beside.Mailbox)
	name := f.names("cur")[0]
	if err := beside.account.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := f.names("cur")[0]; now != name {
		t.Errorf("%q was renamed to %q", name, now)
	}
	clock = clock.Add(2 * journalLives)
	if err := beside.account.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if faults, err := beside.account.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%q, %v", faults, err)
	}
	f.want(1, 3)
	if got := storagetest.Read(t, daemon.Mailbox, 3); got != "Subject: a longer one\r\n\r\n" {
		t.Errorf("%q", got)
	}
	if err := beside.Mailbox.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Stat(alice + indexFile); err == nil {
		t.Error("an index was written beside the daemon")
	}
}

// looks counts how often message files are looked at.
type looks struct {
	durable.FS
	n int
}

func (l *looks) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, alice+"cur/") {
		l.n++
	}
	return l.FS.Stat(name)
}

func (l *looks) StatIn(dir string, names ...string) ([]fs.FileInfo, error) {
	if dir+"/" == alice+"cur/" {
		l.n += len(names)
	}
	return l.FS.StatIn(dir, names...)
}

// TestFirstOpen holds that a mailbox without a uidlist is opened without a look at
// its files, that a directory is no message all the same, and that the dates are
// taken before the first change of ours moves them.
func TestFirstOpen(t *testing.T) {
	t.Parallel()
	disk := &looks{FS: newRoot(t, t.TempDir())}
	b := newBox(t, Config{FS: disk, Hostname: "here"})
	defer b.close()
	const n = 20
	for i := range n {
		b.write(alice+fmt.Sprintf("cur/%d.M%d.there:2,", 1000+i, i), storagetest.Text(fmt.Sprint(i)))
	}
	if err := disk.Mkdir(alice+"cur/1005.directory", 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := b.View(t.Context())
	if err != nil || len(v.Messages) != n || disk.n != 1 {
		t.Fatalf("%d looks, %+v, %v", disk.n, v, err)
	}
	if list := b.read(alice + uidListFile); dateField.MatchString(list) {
		t.Errorf("%q", list)
	}
	if claimed, err := b.ClaimRecent(t.Context(), v); err != nil || len(claimed) != n {
		t.Errorf("recent %d, %v", claimed, err)
	}
	b.write(alice+"cur/2000.late:2,", storagetest.Text("late"))
	if _, err := b.SetFlags(t.Context(), []storage.UID{2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0); err != nil {
		t.Fatal(err)
	}
	storagetest.Check(t, b.Mailbox)
	if got := len(dateField.FindAllString(b.read(alice+uidListFile), -1)); got != n+1 {
		t.Errorf("%d dates", got)
	}
}
