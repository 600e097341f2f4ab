package maildir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
	"gomaild/message"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// crashTests are operations during which the power fails, after every single
// file operation of theirs. Before each, INBOX holds a, b and c with UIDs 1 to
// 3 and Other holds x with UID 1; all of that was shown to clients.
var crashTests = []struct {
	name  string
	do    func(*crashed) error
	after []string // what must be there once do has returned without error
	gone  []string // what may be missing when do was cut short, and must be after it
}{
	{"append", func(c *crashed) error {
		uid, err := c.inbox.Append(c.ctx, storagetest.Draft("new"))
		return c.shown(err, "INBOX", uid, "new")
	}, []string{"INBOX new"}, nil},
	{"append with a keyword", func(c *crashed) error {
		d := storagetest.Draft("new")
		d.Keywords = []string{"kw"}
		uid, err := c.inbox.Append(c.ctx, d)
		return c.shown(err, "INBOX", uid, "new")
	}, []string{"INBOX new"}, nil},
	{"append several", func(c *crashed) error {
		return c.appendSet(3)
	}, []string{"INBOX set0", "INBOX set1", "INBOX set2"}, nil},
	{"append many", func(c *crashed) error {
		return c.appendSet(shareSync)
	}, []string{"INBOX set0", "INBOX set7"}, nil},
	{"append several and expunge them", func(c *crashed) error {
		if err := c.appendSet(3); err != nil {
			return err
		}
		c.set = 0 // from here on they may be there or not
		return c.inbox.Expunge(c.ctx, []storage.UID{4, 5, 6})
	}, nil, []string{"INBOX set0", "INBOX set1", "INBOX set2"}},
	{"append, flag and expunge", func(c *crashed) error {
		uid, err := c.inbox.Append(c.ctx, storagetest.Draft("new"))
		if err := c.shown(err, "INBOX", uid, "new"); err != nil {
			return err
		}
		_, err = c.inbox.SetFlags(c.ctx, []storage.UID{uid}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
		return errors.Join(err, c.look("INBOX", c.inbox), c.inbox.Expunge(c.ctx, []storage.UID{uid}))
	}, nil, []string{"INBOX new"}},
	{"deliver", func(c *crashed) error {
		return c.inbox.Deliver(c.ctx, storagetest.Draft("new"))
	}, []string{"INBOX new"}, nil},
	{"deliver and give a UID", func(c *crashed) error {
		return errors.Join(c.inbox.Deliver(c.ctx, storagetest.Draft("new")), c.look("INBOX", c.inbox))
	}, []string{"INBOX new"}, nil},
	{"keep what was parsed", func(c *crashed) error {
		r := c.inbox.Reader()
		_, err := r.Facts(c.ctx, 1)
		for _, uid := range []storage.UID{2, 1} {
			if err == nil {
				_, _, err = r.Digest(c.ctx, uid)
			}
		}
		return errors.Join(err, r.Close())
	}, nil, nil},
	{"deliver, show and expunge", func(c *crashed) error {
		if err := errors.Join(c.inbox.Deliver(c.ctx, storagetest.Draft("new")), c.look("INBOX", c.inbox)); err != nil {
			return err
		}
		return c.inbox.Expunge(c.ctx, []storage.UID{4})
	}, nil, []string{"INBOX new"}},
	{"deliver, flag, checkpoint, expunge", func(c *crashed) error {
		if err := errors.Join(c.inbox.Deliver(c.ctx, storagetest.Draft("new")), c.look("INBOX", c.inbox)); err != nil {
			return err
		}
		_, err := c.inbox.SetFlags(c.ctx, []storage.UID{4}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
		if err := errors.Join(err, c.journal.Checkpoint()); err != nil {
			return err
		}
		return c.inbox.Expunge(c.ctx, []storage.UID{4})
	}, nil, []string{"INBOX new"}},
	{"deliver and move", func(c *crashed) error {
		if err := errors.Join(c.inbox.Deliver(c.ctx, storagetest.Draft("new")), c.look("INBOX", c.inbox)); err != nil {
			return err
		}
		_, err := c.inbox.Move(c.ctx, []storage.UID{4}, c.other)
		return err
	}, []string{"Other new"}, []string{"INBOX new"}},
	{"deliver and rename", func(c *crashed) error {
		if err := c.other.Deliver(c.ctx, storagetest.Draft("new")); err != nil {
			return err
		}
		return c.account.Rename(c.ctx, "Other", "Renamed")
	}, []string{"Renamed x", "Renamed new"}, []string{"Other x", "Other new"}},
	{"deliver and delete", func(c *crashed) error {
		if err := c.other.Deliver(c.ctx, storagetest.Draft("new")); err != nil {
			return err
		}
		return c.account.Delete(c.ctx, "Other")
	}, nil, []string{"Other x", "Other new"}},
	{"copy", func(c *crashed) error {
		_, err := c.inbox.Copy(c.ctx, []storage.UID{1, 3}, c.other)
		return errors.Join(err, c.look("Other", c.other))
	}, []string{"Other a", "Other c"}, nil},
	{"move", func(c *crashed) error {
		_, err := c.inbox.Move(c.ctx, []storage.UID{1, 3}, c.other)
		return errors.Join(err, c.look("Other", c.other))
	}, []string{"Other a", "Other c"}, nil},
	{"move many", func(c *crashed) error {
		var uids []storage.UID
		for i := range shareSync + 1 {
			uid, err := c.inbox.Append(c.ctx, storagetest.Draft(fmt.Sprint("many", i)))
			if err := c.shown(err, "INBOX", uid, fmt.Sprint("many", i)); err != nil {
				return err
			}
			uids = append(uids, uid)
		}
		_, err := c.inbox.Move(c.ctx, uids, c.other)
		return err
	}, []string{"Other many0", "Other many8"}, nil},
	{"expunge", func(c *crashed) error {
		return errors.Join(c.inbox.Expunge(c.ctx, []storage.UID{3}), c.look("INBOX", c.inbox))
	}, nil, []string{"INBOX c"}},
	{"expunge, then append", func(c *crashed) error {
		err := c.inbox.Expunge(c.ctx, []storage.UID{3})
		if err != nil {
			return err
		}
		uid, err := c.inbox.Append(c.ctx, storagetest.Draft("new"))
		return c.shown(err, "INBOX", uid, "new")
	}, []string{"INBOX new"}, []string{"INBOX c"}},
	{"set flags", func(c *crashed) error {
		_, err := c.inbox.SetFlags(c.ctx, []storage.UID{1, 2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen, Keywords: []string{"kw"}}, 0)
		return err
	}, nil, nil},
	{"create and fill", func(c *crashed) error {
		if err := c.account.Create(c.ctx, "New"); err != nil {
			return err
		}
		m, err := c.account.Open(c.ctx, "New")
		if err != nil {
			return err
		}
		defer m.Close()
		uid, err := m.Append(c.ctx, storagetest.Draft("new"))
		return c.shown(err, "New", uid, "new")
	}, []string{"New new"}, nil},
	{"first use of a special mailbox", func(c *crashed) error {
		m, err := c.account.Open(c.ctx, "Junk")
		if err != nil {
			return err
		}
		defer m.Close()
		return m.Deliver(c.ctx, storagetest.Draft("new"))
	}, []string{"Junk new"}, nil},
	{"rename", func(c *crashed) error {
		return c.account.Rename(c.ctx, "Other", "Renamed")
	}, []string{"Renamed x"}, []string{"Other x"}},
	{"rename of INBOX", func(c *crashed) error {
		return c.account.Rename(c.ctx, "INBOX", "Old")
	}, []string{"Old a", "Old b", "Old c"}, nil},
	{"delete and make again", func(c *crashed) error {
		if err := c.account.Delete(c.ctx, "Other"); err != nil {
			return err
		}
		delete(c.seen, "Other")
		if err := c.account.Create(c.ctx, "Other"); err != nil {
			return err
		}
		m, err := c.account.Open(c.ctx, "Other")
		if err != nil {
			return err
		}
		defer m.Close()
		return c.look("Other", m)
	}, nil, []string{"Other x"}},
}

// crashed is a store whose power fails.
type crashed struct {
	ctx          context.Context
	t            *testing.T
	fs           *crashfs.FS
	journal      *journal.Journal // nil without
	store        *Store
	account      storage.Account
	inbox, other storage.Mailbox
	seen         map[string]*shown // what clients were shown, by mailbox
	set          int               // messages "set0" and so on that come together, 0: none do
}

// appendSet appends n messages together.
func (c *crashed) appendSet(n int) error {
	c.set = n
	uids, err := c.inbox.AppendAll(c.ctx, func(yield func(storage.Draft) bool) {
		for i := range n {
			d := storagetest.Draft(fmt.Sprint("set", i))
			if i == 1 {
				d.Flags, d.Keywords, d.InternalDate = storage.Seen, []string{"kw"}, time.Unix(1e9, 0)
			}
			if !yield(d) {
				return
			}
		}
	})
	for i, uid := range uids {
		err = c.shown(err, "INBOX", uid, fmt.Sprint("set", i))
	}
	return err
}

// shown is what clients know of one mailbox.
type shown struct {
	validity uint32
	next     storage.UID
	subjects map[storage.UID]string
}

func newCrashed(t *testing.T, journaled bool) *crashed {
	c := &crashed{ctx: t.Context(), t: t, fs: crashfs.New(), seen: map[string]*shown{}}
	c.start("node1", journaled)
	c.must(c.account.Create(c.ctx, "Other"))
	var err error
	c.inbox, err = c.account.Open(c.ctx, "INBOX")
	c.must(err)
	c.other, err = c.account.Open(c.ctx, "Other")
	c.must(err)
	for _, s := range []string{"a", "b", "c"} {
		_, err := c.inbox.Append(c.ctx, storagetest.Draft(s))
		c.must(err)
	}
	_, err = c.other.Append(c.ctx, storagetest.Draft("x"))
	c.must(err)
	c.must(errors.Join(c.look("INBOX", c.inbox), c.look("Other", c.other)))
	return c
}

func (c *crashed) start(host string, journaled bool) {
	var err error
	if journaled {
		c.journal, err = journal.Open(journal.Config{FS: c.fs, Dir: ".gomaild", Size: 128 << 10, Interval: -1})
		c.must(err)
	}
	c.store, err = New(Config{FS: c.fs, Journal: c.journal, Hostname: host, Alone: true})
	c.must(err)
	c.account, err = c.store.Account(c.ctx, storagetest.Alice())
	c.must(err)
}

func (c *crashed) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// subject is read from the message itself.
func (c *crashed) subject(m storage.Mailbox, uid storage.UID) (string, error) {
	content, err := m.Content(c.ctx, uid)
	if err != nil {
		return "", err
	}
	s, err := message.Parse(content)
	if err = errors.Join(err, content.Close()); err != nil {
		return "", err
	}
	return s.Root.Envelope.Subject, nil
}

// look shows a mailbox to a client.
func (c *crashed) look(name string, m storage.Mailbox) error {
	v, err := m.View(c.ctx)
	if err != nil {
		return err
	}
	s := c.seen[name]
	if s == nil || s.validity != v.UIDValidity {
		s = &shown{validity: v.UIDValidity, subjects: map[storage.UID]string{}}
		c.seen[name] = s
	}
	s.next = max(s.next, v.UIDNext)
	for _, msg := range v.Messages {
		subject, err := c.subject(m, msg.UID)
		if err != nil {
			return err
		}
		s.subjects[msg.UID] = subject
	}
	return nil
}

// shown tells a client the UID of what it appended (APPENDUID).
func (c *crashed) shown(err error, name string, uid storage.UID, subject string) error {
	if s := c.seen[name]; err == nil && s != nil {
		s.next = max(s.next, uid+1)
		s.subjects[uid] = subject
	}
	return err
}

// TestPowerCut cuts the power after every file operation, for every way in
// which unsynced changes can survive, and holds afterwards: UIDVALIDITY is the
// same, no UID means another message than before, none is given out again, and
// every message that was there or acknowledged is there.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, tt := range crashTests {
		for _, journaled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, journal %v", tt.name, journaled), func(t *testing.T) {
				t.Parallel()
				for n := int64(0); !cutAfter(t, n, journaled, tt.do, tt.after, tt.gone) && !t.Failed(); n++ {
				}
			})
		}
	}
}

// cutAfter cuts the power after n operations and looks at every outcome. It
// reports whether the work was done by then.
func cutAfter(t *testing.T, n int64, journaled bool, do func(*crashed) error, wanted, gone []string) bool {
	c := newCrashed(t, journaled)
	c.fs.CutAfter(n)
	err := do(c)
	if err != nil && !errors.Is(err, crashfs.ErrPowerCut) {
		t.Fatalf("operation %d: %v", n, err)
	}
	for _, s := range crashfs.Survivals() {
		after := c.reboot(c.fs.Crash(s))
		after.check(fmt.Sprintf("after %d operations, %v", n, s), err == nil, wanted, gone)
	}
	for seed := range uint64(3) {
		after := c.reboot(c.fs.CrashRandom(seed))
		after.check(fmt.Sprintf("after %d operations, seed %d", n, seed), err == nil, wanted, gone)
	}
	return err == nil
}

// TestPowerCutInTheEndOfAnAppend cuts the power a second time, wherever the
// mailbox is opened after the first and the rest of an AppendAll is done.
func TestPowerCutInTheEndOfAnAppend(t *testing.T) {
	t.Parallel()
	cutOff := 0
	for n, done := int64(0), false; !done && !t.Failed(); n++ {
		c := newCrashed(t, true)
		c.fs.CutAfter(n)
		done = c.appendSet(3) == nil
		tree := c.fs.Crash(crashfs.Survivals()[n%int64(len(crashfs.Survivals()))])
		if _, err := tree.Stat(alice + appendFile); err != nil {
			continue
		}
		if cutOff++; cutOff%4 != 2 {
			continue // with one link or two, and with all of them
		}
		for m, opened := int64(0), false; !opened && !t.Failed(); m++ {
			after := c.reboot(tree.Crash(crashfs.Everything))
			after.fs.CutAfter(m)
			inbox, err := after.account.Open(c.ctx, "INBOX")
			if err == nil {
				_, err = inbox.View(c.ctx)
				opened = err == nil
			}
			for _, s := range []crashfs.Survival{crashfs.Nothing, crashfs.Everything} {
				c.reboot(after.fs.Crash(s)).check(fmt.Sprintf("after %d operations, then %d, %v", n, m, s), false, nil, nil)
			}
		}
	}
	if cutOff < 5 {
		t.Errorf("an append was cut off only %d times", cutOff)
	}
}

// reboot is the tree on another node; what clients know they still know.
func (c *crashed) reboot(tree *crashfs.FS) *crashed {
	after := &crashed{ctx: c.ctx, t: c.t, fs: tree, seen: c.seen, set: c.set}
	after.start("node2", c.journal != nil)
	return after
}

func (c *crashed) check(when string, done bool, wanted, gone []string) {
	c.t.Helper()
	have := c.everything(when)
	want := []string{"INBOX a", "INBOX b", "INBOX c", "Other x"}
	if done {
		want = append(want, wanted...)
	}
	for _, w := range want {
		if slices.Contains(gone, w) || slices.Contains(have, w) {
			continue
		}
		if !slices.ContainsFunc(have, func(h string) bool { return subjectOf(h) == subjectOf(w) }) {
			c.t.Errorf("%s: %s is lost; there are %q", when, w, have)
		}
	}
	var set []string
	for _, h := range have {
		if strings.HasPrefix(subjectOf(h), "set") {
			set = append(set, h)
		}
	}
	if c.set > 0 && len(set) != 0 && len(set) != c.set {
		c.t.Errorf("%s: of the %d messages that come together there are %q", when, c.set, set)
	}
	for _, g := range gone {
		if done && slices.Contains(have, g) {
			c.t.Errorf("%s: %s is still there", when, g)
		}
	}
	c.must(c.account.Close())
	c.must(errors.Join(c.store.Close(), c.journal.Close()))
	c.cleanedUp(when)
}

// cleanedUp holds that the work after the power cut left everything in order.
// What may still lie there from before: files in tmp/, which go when they are
// old; locks, lists and folders that nobody needed to write or remove since.
func (c *crashed) cleanedUp(when string) {
	c.t.Helper()
	for line := range strings.SplitSeq(fmt.Sprint(Check(c.fs, ".")), "\n") {
		remains := strings.Contains(line, "/tmp: ") || strings.Contains(line, trash) ||
			strings.Contains(line, ".lock: ") || strings.Contains(line, ".tmp: ")
		if line != "<nil>" && !remains {
			c.t.Errorf("%s: %s", when, line)
		}
	}
}

func subjectOf(entry string) string {
	for i := range entry {
		if entry[i] == ' ' {
			return entry[i+1:]
		}
	}
	return entry
}

// everything is "mailbox subject" of all messages.
func (c *crashed) everything(when string) []string {
	c.t.Helper()
	infos, err := c.account.Mailboxes(c.ctx)
	c.must(err)
	var all []string
	for _, info := range infos {
		if info.NonExist {
			continue
		}
		m, err := c.account.Open(c.ctx, info.Name)
		c.must(err)
		for _, s := range storagetest.Subjects(c.t, m) {
			all = append(all, info.Name+" "+s)
		}
		c.compare(when, info.Name, m)
		c.must(m.Close())
	}
	return all
}

func (c *crashed) compare(when, name string, m storage.Mailbox) {
	c.t.Helper()
	s := c.seen[name]
	if s == nil {
		return
	}
	v, err := m.View(c.ctx)
	c.must(err)
	if v.UIDValidity != s.validity {
		if v.UIDValidity < s.validity {
			c.t.Errorf("%s: UIDVALIDITY of %s is %d, was %d", when, name, v.UIDValidity, s.validity)
		}
		if len(s.subjects) > 0 && name == "INBOX" {
			c.t.Errorf("%s: UIDVALIDITY of %s changed", when, name)
		}
		return
	}
	if v.UIDNext < s.next {
		c.t.Errorf("%s: UIDNEXT of %s is %d, was %d", when, name, v.UIDNext, s.next)
	}
	for _, msg := range v.Messages {
		subject, err := c.subject(m, msg.UID)
		c.must(err)
		if was, known := s.subjects[msg.UID]; known && was != subject {
			c.t.Errorf("%s: UID %d of %s is %q, was %q", when, msg.UID, name, subject, was)
		}
	}
	uid, err := m.Append(c.ctx, storagetest.Draft("later"))
	c.must(err)
	if uid < s.next {
		c.t.Errorf("%s: UID %d of %s is given out again, UIDNEXT was %d", when, uid, name, s.next)
	}
}
