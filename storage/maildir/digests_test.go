package maildir

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/message"
	"gomaild/storage"
	"gomaild/storage/index"
	"gomaild/storage/storagetest"
)

// keeping is a store on a disk, with an INBOX of three messages whose digests
// were kept.
type keeping struct {
	t     *testing.T
	fs    *openCounter
	store *Store
}

// openCounter counts the messages that are opened.
type openCounter struct {
	durable.FS
	opened int
}

func (c *openCounter) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	if dir := path.Base(path.Dir(name)); dir == "cur" || dir == "new" {
		c.opened++
	}
	return c.FS.OpenFile(name, flag, perm)
}

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{t: t, fs: &openCounter{FS: newRoot(t, t.TempDir())}}
	k.restart()
	m := k.open("INBOX")
	for _, subject := range []string{"a", "b", "c"} {
		if _, err := m.Append(t.Context(), storagetest.Draft(subject)); err != nil {
			t.Fatal(err)
		}
	}
	k.read(m, "a b c", 3)
	k.close(m)
	return k
}

func (k *keeping) restart() {
	k.t.Helper()
	if k.store != nil {
		if err := k.store.Close(); err != nil {
			k.t.Fatal(err)
		}
	}
	var err error
	if k.store, err = New(Config{FS: k.fs, Hostname: "here.test"}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeping) account() storage.Account {
	k.t.Helper()
	a, err := k.store.Account(k.t.Context(), storagetest.Alice())
	if err != nil {
		k.t.Fatal(err)
	}
	return a
}

func (k *keeping) open(name string) storage.Mailbox {
	k.t.Helper()
	a := k.account()
	defer a.Close()
	m, err := a.Open(k.t.Context(), name)
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

func (k *keeping) close(m storage.Mailbox) {
	k.t.Helper()
	if err := m.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// read reads the subjects from the digests of all messages, and holds how many
// messages were opened for it.
func (k *keeping) read(m storage.Mailbox, want string, opened int) {
	k.t.Helper()
	before := k.fs.opened
	v, err := m.View(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	r := m.Reader()
	var got []string
	for _, msg := range v.Messages {
		d, facts, err := r.Digest(k.t.Context(), msg.UID)
		if err != nil {
			k.t.Fatal(err)
		}
		subject, _ := d.Field(message.KeptSubject)
		got = append(got, subject)
		if facts.WireSize != d.WireSize() || facts.InternalDate.IsZero() {
			k.t.Errorf("%s: facts %+v, size %d", subject, facts, d.WireSize())
		}
	}
	if err := r.Close(); err != nil {
		k.t.Fatal(err)
	}
	if s := strings.Join(got, " "); s != want {
		k.t.Errorf("subjects are %q, want %q", s, want)
	}
	if n := k.fs.opened - before; n != opened {
		k.t.Errorf("%d messages were opened, want %d", n, opened)
	}
}

// edit changes a file of INBOX.
func (k *keeping) edit(name string, change func(data []byte) []byte) {
	k.t.Helper()
	name = path.Join("example.org/alice@example.org", name)
	data, err := durable.ReadFile(k.fs, name)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := durable.WriteFile(k.fs, name, change(data), fileMode); err != nil {
		k.t.Fatal(err)
	}
}

// TestDigestsDamaged holds that whatever becomes of the files, what is told of
// messages stays right, and only what was hit is parsed again, once.
func TestDigestsDamaged(t *testing.T) {
	t.Parallel()
	flip := func(at int) func([]byte) []byte {
		return func(data []byte) []byte { data[(len(data)+at)%len(data)] ^= 1; return data }
	}
	cut := func(n int) func([]byte) []byte { return func(data []byte) []byte { return data[:len(data)-n] } }
	for _, tt := range []struct {
		what   string
		file   string
		change func([]byte) []byte
		opened int
	}{
		{"nothing", factsFile, func(data []byte) []byte { return data }, 0},
		{"a line of facts", factsFile, flip(index.FactsLine + 5), 1},
		{"the last digest", digestsFile, flip(-1), 1},
		{"the first line", factsFile, flip(20), 3},
		{"the beginning of the digests", digestsFile, flip(20), 3},
		{"digests of another version", digestsFile, func(data []byte) []byte { data[len("gomaild digest")]--; return data }, 3},
		{"half a line is written", factsFile, cut(index.FactsLine / 2), 1},
		{"the last digest is not whole", digestsFile, cut(1), 1},
		{"the digests are empty", digestsFile, cut(0), 0},
		{"the digests are gone", digestsFile, func([]byte) []byte { return nil }, 3},
		{"the facts are gone", factsFile, func([]byte) []byte { return nil }, 3},
		{"zeros behind the lines", factsFile, func(data []byte) []byte { return append(data, make([]byte, 200)...) }, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			k := newKeeping(t)
			k.edit(tt.file, tt.change)
			k.restart()
			m := k.open("INBOX")
			k.read(m, "a b c", tt.opened)
			k.read(m, "a b c", 0)
			k.close(m)
			k.restart()
			m = k.open("INBOX")
			k.read(m, "a b c", 0)
			k.close(m)
			k.restart()
		})
	}
}

// TestDigestsOfOthers: a line is believed only for the file that it was of.
func TestDigestsOfOthers(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	m := k.open("INBOX")
	v, err := m.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := k.account()
	if err := other.Create(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	o := k.open("Other")
	if _, err := o.Append(t.Context(), storagetest.Draft("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{factsFile, digestsFile} {
		data, err := durable.ReadFile(k.fs, path.Join("example.org/alice@example.org", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(k.fs, path.Join("example.org/alice@example.org/.Other", name), data, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	k.read(o, "x", 1)
	if len(v.Messages) != 3 {
		t.Error(len(v.Messages))
	}
	k.close(m)
	k.close(o)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	k.restart()
}

// TestDigestsGoAlong holds that copies and moved messages need no parsing.
func TestDigestsGoAlong(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	a := k.account()
	defer a.Close()
	if err := a.Create(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	m, o := k.open("INBOX"), k.open("Other")
	defer k.close(m)
	defer k.close(o)
	if _, err := m.Copy(t.Context(), []storage.UID{1, 3}, o); err != nil {
		t.Fatal(err)
	}
	k.read(o, "a c", 0)
	if _, err := m.Move(t.Context(), []storage.UID{2}, o); err != nil {
		t.Fatal(err)
	}
	k.read(o, "a c b", 0)
	k.read(m, "a c", 0)
}

// TestDigestsAreTidied holds that the files do not grow for ever.
func TestDigestsAreTidied(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	m := k.open("INBOX").(*handle)
	k.read(m, "a b c", 0)
	r := &reader{h: m}
	if _, known := r.known(1); !known {
		t.Fatal("nothing is kept")
	}
	for i := range 1100 {
		r.keepLine(index.Facts{UID: storage.UID(1000 + i)}, []byte(fmt.Sprint("of a message that is gone ", i)))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	k.close(m)
	size := func(name string) int64 {
		info, err := k.fs.Stat(path.Join("example.org/alice@example.org", name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if n := size(factsFile); n < 1100*index.FactsLine {
		t.Fatalf("%d octets", n)
	}
	k.restart()
	again := k.open("INBOX")
	k.read(again, "a b c", 0)
	if n := size(factsFile); n != 4*index.FactsLine {
		t.Errorf("%d octets of facts after tidying", n)
	}
	k.close(again)
	k.restart()
	again = k.open("INBOX")
	k.read(again, "a b c", 0)
	k.close(again)
}

// TestDigestsOfTwoProcesses holds that of two who have a mailbox open one keeps
// digests, and both are right.
func TestDigestsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	first := k.open("INBOX").(*handle)
	k.read(first, "a b c", 0)
	r := &reader{h: first}
	if _, known := r.known(1); !known {
		t.Fatal("nothing is kept")
	}
	first.digests.mu.Lock()
	err := first.openForWriting() // as one does who has parsed something
	first.digests.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	second := &keeping{t: t, fs: k.fs}
	second.restart()
	m := second.open("INBOX")
	k.read(m, "a b c", 0)
	if _, err := m.Append(t.Context(), storagetest.Draft("d")); err != nil {
		t.Fatal(err)
	}
	k.read(m, "a b c d", 1)
	k.read(m, "a b c d", 1) // not kept, as the first has the lock
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	k.read(m, "a b c d", 1)
	k.read(m, "a b c d", 0)
	k.read(first, "a b c d", 0)
	second.close(m)
	k.close(first)
}
