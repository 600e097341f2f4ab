package local_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
	"gomaild/internal/spool"
	"gomaild/mail"
	wire "gomaild/message"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// The promise of the whole program, on the way that a message takes through
// spool, local and maildir: the power is cut after every single file operation
// of a delivery, in every way a file system may look afterwards; then a new
// process opens the mail, and
//   - every message that was answered 250 is there, once;
//   - no message is there that is not whole, neither to IMAP nor to another
//     program that looks into new/ and cur/;
//   - what was there before has its UID, and the mailbox its UIDVALIDITY.

// node is a mail server's life from start to power cut.
type node struct {
	disk    *crashfs.FS
	journal *journal.Journal // nil without
	store   *maildir.Store
	spool   *spool.Spool
	agent   *local.Agent
}

// startNode starts as the daemon does: the replay comes before anything else.
func startNode(disk *crashfs.FS, journaled bool) (n *node, err error) {
	n = &node{disk: disk}
	jc := journal.Config{FS: disk, Dir: "journal", Size: 1 << 20, Interval: -1}
	if journaled {
		n.journal, err = journal.Open(jc)
	} else {
		err = journal.Recover(jc)
	}
	if err != nil {
		return nil, err
	}
	s, err := spool.New(spool.Config{FS: disk, Dir: "spool", Memory: 1})
	if err != nil {
		return nil, err
	}
	store, err := maildir.New(maildir.Config{FS: disk, Journal: n.journal, Hostname: "mx.x.test"})
	if err != nil {
		return nil, err
	}
	n.store, n.spool = store, s
	n.agent = local.New(local.Config{Store: store, Detail: local.DetailCreate, Concurrency: 1})
	return n, nil
}

// receive is what an SMTP transaction does after DATA.
func (n *node) receive(t *testing.T, text string, to []local.Recipient) []error {
	c, err := n.spool.Read(strings.NewReader(text))
	if err != nil {
		return slices.Repeat([]error{err}, len(to))
	}
	defer c.Close()
	return n.agent.Deliver(t.Context(), local.Message{Content: c}, to)
}

// view opens a mailbox as IMAP does.
func (n *node) view(t *testing.T, a mail.Address, name string) (*storage.View, map[storage.UID]string) {
	t.Helper()
	account, err := n.store.Account(t.Context(), storage.Owner{Address: a})
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	box, err := account.Open(t.Context(), name)
	if errors.Is(err, storage.ErrNoMailbox) {
		return &storage.View{}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	v, err := box.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	texts := map[storage.UID]string{}
	for _, m := range v.Messages {
		c, err := box.Content(t.Context(), m.UID)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(wire.NewWireReader(c, wire.Span{Len: c.Size()}))
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		texts[m.UID] = string(data)
	}
	return v, texts
}

// crashCase is one kind of delivery.
type crashCase struct {
	name      string
	journaled bool
	before    []string // messages in the INBOX of alice, durable
	text      string
	to        []local.Recipient
}

func crashCases() []crashCase {
	lists, detail := to(alice), to(bob)
	lists.Folder = "Lists"
	detail.Detail = "work"
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 4096)
	cases := []crashCase{
		{"new account", false, nil, text, []local.Recipient{plain(alice)}},
		{"account with mail", false, []string{"A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n"}, text, []local.Recipient{plain(alice)}},
		{"large message through the spool", false, []string{"A: 1\r\n\r\none\r\n"}, large, []local.Recipient{plain(alice)}},
		{"folder that is missing", false, []string{"A: 1\r\n\r\none\r\n"}, text, []local.Recipient{lists}},
		{"several accounts", false, []string{"A: 1\r\n\r\none\r\n"}, text, []local.Recipient{plain(alice), detail, lists}},
	}
	for _, c := range cases {
		c.name, c.journaled = c.name+", journal", true
		cases = append(cases, c)
	}
	return cases
}

func plain(a mail.Address) local.Recipient {
	return local.Recipient{Mailbox: accounts.Mailbox{Address: a}}
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base, known := c.prepare(t)
			for cut := int64(0); ; cut++ {
				if c.cutAfter(t, base, known, cut) {
					t.Logf("%d places to cut the power", cut)
					return
				}
			}
		})
	}
}

// known is what must not change.
type known struct {
	validity uint32
	uids     map[storage.UID]string
}

// prepare makes the disk as it is before the delivery.
func (c crashCase) prepare(t *testing.T) (*crashfs.FS, known) {
	t.Helper()
	disk := crashfs.New()
	n, err := startNode(disk, c.journaled)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.before) == 0 {
		n.stop(t)
		return disk.Crash(crashfs.Everything), known{}
	}
	for _, m := range c.before {
		if err := n.receive(t, m, []local.Recipient{plain(alice)})[0]; err != nil {
			t.Fatal(err)
		}
	}
	v, uids := n.view(t, alice, "INBOX")
	n.stop(t)
	return disk.Crash(crashfs.Everything), known{v.UIDValidity, uids}
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(n.store.Close(), n.spool.Close(), n.journal.Close()); err != nil {
		t.Error(err)
	}
	if open := n.disk.OpenFiles(); open != 0 {
		t.Errorf("%d files are open after the stop", open)
	}
}

// cutAfter delivers on a copy of base, cuts the power after some operations
// and checks every outcome. It reports whether the delivery was over before.
func (c crashCase) cutAfter(t *testing.T, base *crashfs.FS, before known, operations int64) (over bool) {
	disk := base.Crash(crashfs.Everything)
	n, err := startNode(disk, c.journaled)
	if err != nil {
		t.Fatal(err)
	}
	disk.CutAfter(operations)
	start := disk.Operations()
	results := n.receive(t, c.text, c.to)
	over = disk.Operations()-start <= operations
	_ = errors.Join(n.store.Close(), n.journal.Close()) // without power they may complain
	if disk.OpenFiles() != 0 {
		t.Errorf("cut after %d: %d files are open", operations, disk.OpenFiles())
	}
	if i := slices.IndexFunc(results, func(err error) bool { return err != nil }); over && i >= 0 {
		t.Errorf("recipient %d: %v", i, results[i])
	}
	check := func(outcome string, after *crashfs.FS) {
		if !t.Failed() {
			c.check(t, fmt.Sprintf("cut after %d, %s", operations, outcome), after, before, results)
		}
	}
	for _, s := range crashfs.Survivals() {
		check(s.String(), disk.Crash(s))
	}
	for seed := range uint64(5) {
		check(fmt.Sprintf("seed %d", seed), disk.CrashRandom(seed))
	}
	return over
}

// check starts a new process on what is left.
func (c crashCase) check(t *testing.T, what string, disk *crashfs.FS, before known, results []error) {
	t.Helper()
	if !c.journaled { // whoever comes next finds whole messages
		c.checkFiles(t, what, disk)
	}
	n, err := startNode(disk, c.journaled)
	if err != nil {
		t.Fatalf("%s: start: %v", what, err)
	}
	c.checkFiles(t, what, disk)
	defer n.stop(t)
	v, inbox := n.view(t, alice, "INBOX")
	if before.validity != 0 && v.UIDValidity != before.validity {
		t.Errorf("%s: UIDVALIDITY was %d and is %d", what, before.validity, v.UIDValidity)
	}
	for uid, text := range before.uids {
		if inbox[uid] != text {
			t.Errorf("%s: message %d was %q and is %q", what, uid, text, inbox[uid])
		}
	}
	for i, r := range c.to {
		_, texts := n.view(t, r.Mailbox.Address, folderOf(r))
		copies := 0
		for _, text := range texts {
			if text == c.text {
				copies++
			} else if !slices.Contains(c.before, text) {
				t.Errorf("%s: a message that nobody sent: %d octets %.40q", what, len(text), text)
			}
		}
		if copies > 1 || results[i] == nil && copies == 0 {
			t.Errorf("%s: recipient %d was told %v and has %d copies", what, i, results[i], copies)
		}
	}
}

func folderOf(r local.Recipient) string {
	if name := r.Folder + r.Detail; name != "" {
		return name
	}
	return "INBOX"
}

// TestEveryOperationFails lets each file operation of a delivery fail, once,
// with what disks fail with. The process lives on: whoever was told no has no
// copy or a whole one, the answer is temporary, and the next delivery works.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	for _, c := range crashCases() {
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
			t.Run(c.name+", "+fault.Error(), func(t *testing.T) {
				t.Parallel()
				base, known := c.prepare(t)
				for op := int64(1); !c.failAt(t, base, known, op, fault); op++ {
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// failAt reports whether the delivery was over before the operation.
func (c crashCase) failAt(t *testing.T, base *crashfs.FS, before known, op int64, fault error) (over bool) {
	disk := base.Crash(crashfs.Everything)
	n, err := startNode(disk, c.journaled)
	if err != nil {
		t.Fatal(err)
	}
	start := disk.Operations()
	disk.Inject(crashfs.FailNth(op, fault))
	results := n.receive(t, c.text, c.to)
	over = disk.Operations()-start < op
	disk.Inject(nil)
	for i, err := range results {
		if err != nil && !mail.StatusOf(err).Temporary() {
			t.Errorf("operation %d failed: recipient %d was told %v", op, i, err)
		}
	}
	what := fmt.Sprintf("operation %d failed", op)
	c.check(t, what, disk.Crash(crashfs.Nothing), before, results)
	if again := n.receive(t, c.text, c.to); errors.Join(again...) != nil {
		t.Errorf("%s: the next delivery: %v", what, again)
	}
	n.stop(t)
	return over
}

// checkFiles holds that whoever looks into new/ or cur/ finds whole messages
// only.
func (c crashCase) checkFiles(t *testing.T, what string, disk *crashfs.FS) {
	t.Helper()
	walk(t, disk, ".", func(dir, name string) {
		if !strings.HasSuffix(dir, "/new") && !strings.HasSuffix(dir, "/cur") {
			return
		}
		data, err := durable.ReadFile(disk, dir+"/"+name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "\n", "\r\n")
		if text != c.text && !slices.Contains(c.before, text) {
			t.Errorf("%s: %s/%s is half-written: %d octets %.40q", what, dir, name, len(data), data)
		}
	})
}

func walk(t *testing.T, disk durable.FS, dir string, visit func(dir, name string)) {
	t.Helper()
	names, err := disk.ReadDirNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		info, err := disk.Lstat(dir + "/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Type() == fs.ModeDir {
			walk(t, disk, dir+"/"+n, visit)
		} else {
			visit(dir, n)
		}
	}
}
