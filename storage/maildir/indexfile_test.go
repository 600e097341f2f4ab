package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// indexed is an account whose mailboxes are closed and opened again.
type indexed struct {
	t       *testing.T
	fs      *crashfs.FS
	log     bytes.Buffer
	account storage.Account
}

func newIndexed(t *testing.T) *indexed {
	x := &indexed{t: t, fs: crashfs.New()}
	s, err := New(Config{FS: x.fs, Hostname: "index.test", Logger: slog.New(slog.NewTextHandler(&x.log, nil))})
	x.must(err)
	x.account, err = s.Account(t.Context(), storagetest.Alice())
	x.must(err)
	t.Cleanup(func() { x.must(errors.Join(x.account.Close(), s.Close(), Check(x.fs, "."))) })
	for _, subject := range []string{"a", "b", "c"} {
		x.with(func(m storage.Mailbox) { _, err := m.Append(t.Context(), storagetest.Draft(subject)); x.must(err) })
	}
	return x
}

func (x *indexed) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// with opens INBOX for one session.
func (x *indexed) with(do func(storage.Mailbox)) { x.in("INBOX", do) }

func (x *indexed) in(name string, do func(storage.Mailbox)) {
	x.t.Helper()
	m, err := x.account.Open(x.t.Context(), name)
	x.must(err)
	do(m)
	x.must(m.Close())
}

func (x *indexed) view(name string) (v *storage.View) {
	x.t.Helper()
	x.in(name, func(m storage.Mailbox) { v = storagetest.Check(x.t, m) })
	return v
}

func (x *indexed) path() string { return "example.org/alice@example.org/" + indexFile }

func TestIndexKeepsModSeqs(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	before := x.view("INBOX")
	if again := x.view("INBOX"); again.HighestModSeq != before.HighestModSeq || !slices.Equal(again.Messages, before.Messages) {
		t.Errorf("opened again without a change: %v, was %v", again.Messages, before.Messages)
	}
	x.with(func(m storage.Mailbox) { x.must(m.Expunge(t.Context(), []storage.UID{2})) })
	x.with(func(m storage.Mailbox) {
		v := storagetest.Check(t, m)
		gone, err := m.Vanished(t.Context(), v, before.HighestModSeq)
		if err != nil || fmt.Sprint(gone) != "[{2 2}]" {
			t.Errorf("vanished %v, %v", gone, err)
		}
		if v.Messages[0] != before.Messages[0] {
			t.Errorf("a message that nobody touched is now %v, was %v", v.Messages[0], before.Messages[0])
		}
	})
	if x.log.Len() > 0 {
		t.Errorf("log: %s", x.log.String())
	}
}

// A change by others while nobody looked is one that clients hear of.
func TestIndexSeesForeignChanges(t *testing.T) {
	t.Parallel()
	x := newIndexed(t)
	before := x.view("INBOX")
	dir := "example.org/alice@example.org/cur/"
	names, err := x.fs.ReadDirNames(dir)
	x.must(err)
	x.must(x.fs.Rename(dir+names[0], dir+names[0]+"F"))
	changed := 0
	for _, m := range x.view("INBOX").Messages {
		if m.ModSeq > before.HighestModSeq {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d messages changed, want 1", changed)
	}
}

// Whatever happens to an index, its mailbox opens, all MODSEQs of it are above
// those ever shown, the log says so, and other mailboxes keep theirs.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	write := func(x *indexed, data string) {
		x.must(durable.WriteFile(x.fs, x.path(), []byte(data), fileMode))
	}
	for _, tt := range []struct {
		name   string
		damage func(x *indexed)
		logs   bool
	}{
		{"removed", func(x *indexed) { x.must(x.fs.Remove(x.path())) }, false},
		{"empty", func(x *indexed) { write(x, "") }, true},
		{"of another version", func(x *indexed) { write(x, "gomaild index 9\nabcdefgh") }, true},
		{"torn", func(x *indexed) {
			data, err := durable.ReadFile(x.fs, x.path())
			x.must(err)
			write(x, string(data[:len(data)/2]))
		}, true},
		{"of another mailbox", func(x *indexed) {
			data, err := durable.ReadFile(x.fs, strings.Replace(x.path(), indexFile, ".Other/"+indexFile, 1))
			x.must(err)
			write(x, string(data))
		}, true},
		{"Dovecot was there", func(x *indexed) {
			x.must(durable.WriteFile(x.fs, strings.Replace(x.path(), indexFile, "dovecot.index.log", 1), []byte("new"), fileMode))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := newIndexed(t)
			x.must(x.account.Create(t.Context(), "Other"))
			before, other := x.view("INBOX"), x.view("Other")
			tt.damage(x)
			after := x.view("INBOX")
			for _, m := range after.Messages {
				if m.ModSeq <= before.HighestModSeq {
					t.Errorf("UID %d has MODSEQ %d, shown were up to %d", m.UID, m.ModSeq, before.HighestModSeq)
				}
			}
			if got := strings.Contains(x.log.String(), "index is not used"); got != tt.logs {
				t.Errorf("log %q", x.log.String())
			}
			if again := x.view("Other"); again.HighestModSeq != other.HighestModSeq {
				t.Errorf("another mailbox went from %d to %d", other.HighestModSeq, again.HighestModSeq)
			}
			if again := x.view("INBOX"); again.HighestModSeq != after.HighestModSeq {
				t.Errorf("the index was not made again: %d, then %d", after.HighestModSeq, again.HighestModSeq)
			}
		})
	}
}

// TestPowerCutLosesNoChange cuts the power after every operation of sessions
// that set a flag, take it away and expunge. A client that saw any of the states
// must hear, by MODSEQ alone, of all that is different after the crash.
func TestPowerCutLosesNoChange(t *testing.T) {
	t.Parallel()
	for n := int64(0); !cutSessions(t, n) && !t.Failed(); n++ {
	}
}

func cutSessions(t *testing.T, n int64) (done bool) {
	c := newCrashed(t, false)
	c.must(errors.Join(c.inbox.Close(), c.fs.Barrier()))
	var seen []*storage.View
	session := func(do func(storage.Mailbox) error) error {
		m, err := c.account.Open(c.ctx, "INBOX")
		if err != nil {
			return err
		}
		v, err := m.View(c.ctx)
		if err == nil {
			seen = append(seen, v)
			err = do(m)
		}
		if err == nil {
			if v, err = m.View(c.ctx); err == nil {
				seen = append(seen, v)
			}
		}
		return errors.Join(err, m.Close(), c.fs.Barrier()) // the kernel writes the index sooner or later
	}
	edit := func(op storage.FlagOp) func(storage.Mailbox) error {
		return func(m storage.Mailbox) error {
			_, err := m.SetFlags(c.ctx, []storage.UID{1}, storage.FlagEdit{Op: op, Flags: storage.Flagged}, 0)
			return err
		}
	}
	c.fs.CutAfter(n)
	err := session(edit(storage.AddFlags))
	if err == nil {
		err = session(edit(storage.RemoveFlags))
	}
	if err == nil {
		err = session(func(m storage.Mailbox) error { return m.Expunge(c.ctx, []storage.UID{2}) })
	}
	if err != nil && !errors.Is(err, crashfs.ErrPowerCut) {
		t.Fatalf("operation %d: %v", n, err)
	}
	for _, s := range crashfs.Survivals() {
		c.reboot(c.fs.Crash(s)).hears(fmt.Sprintf("after %d operations, %v", n, s), seen)
	}
	for seed := range uint64(3) {
		c.reboot(c.fs.CrashRandom(seed)).hears(fmt.Sprintf("after %d operations, seed %d", n, seed), seen)
	}
	return err == nil
}

// hears holds what RFC 7162 promises to clients that know one of the views.
func (c *crashed) hears(when string, seen []*storage.View) {
	c.t.Helper()
	m, err := c.account.Open(c.ctx, "INBOX")
	c.must(err)
	now, err := m.View(c.ctx)
	c.must(err)
	for _, v := range seen {
		if now.HighestModSeq < v.HighestModSeq {
			c.t.Errorf("%s: HIGHESTMODSEQ %d, was %d", when, now.HighestModSeq, v.HighestModSeq)
		}
		vanished, err := m.Vanished(c.ctx, now, v.HighestModSeq)
		c.must(err)
		for _, was := range v.Messages {
			i, there := now.Index(was.UID)
			switch {
			case !there && !slices.ContainsFunc(vanished, func(r storage.UIDRange) bool { return r.First <= was.UID && was.UID <= r.Last }):
				c.t.Errorf("%s: UID %d vanished unheard: %v since %d", when, was.UID, vanished, v.HighestModSeq)
			case there && now.Messages[i].Flags != was.Flags && now.Messages[i].ModSeq <= v.HighestModSeq:
				c.t.Errorf("%s: flags of UID %d changed unheard: MODSEQ %d, known %d", when, was.UID, now.Messages[i].ModSeq, v.HighestModSeq)
			}
		}
	}
	c.must(errors.Join(m.Close(), c.account.Close(), c.store.Close()))
}
