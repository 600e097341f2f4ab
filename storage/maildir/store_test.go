package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gomaildir "github.com/emersion/go-maildir"

	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestIndependentReader reads with another Maildir implementation what we
// wrote.
func TestIndependentReader(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, root), Hostname: "here.test"})
	defer b.close()
	d := storagetest.Draft("appended")
	d.Flags = storage.Seen | storage.Answered
	if _, err := b.Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := b.Deliver(t.Context(), storagetest.Draft("delivered")); err != nil {
		t.Fatal(err)
	}
	dir := gomaildir.Dir(filepath.Join(root, "example.org/alice@example.org"))
	unseen, err := dir.Unseen() // moves from new/ to cur/
	if err != nil || len(unseen) != 1 {
		t.Fatalf("%d new messages, %v", len(unseen), err)
	}
	msgs, err := dir.Messages()
	if err != nil || len(msgs) != 2 {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	for _, msg := range msgs {
		data, err := os.ReadFile(msg.Filename())
		if err != nil {
			t.Fatal(err)
		}
		wire := strings.ReplaceAll(string(data), "\n", "\r\n")
		seen := slices.Contains(msg.Flags(), gomaildir.FlagSeen)
		if want := storagetest.Text(map[bool]string{true: "appended", false: "delivered"}[seen]); wire != want {
			t.Errorf("%v: %q", msg.Flags(), wire)
		}
		if err := msg.SetFlags(append(msg.Flags(), gomaildir.FlagFlagged)); err != nil {
			t.Fatal(err)
		}
	}
	for _, msg := range storagetest.Check(t, b.Mailbox).Messages {
		if msg.Flags&storage.Flagged == 0 {
			t.Errorf("UID %d: flags %b", msg.UID, msg.Flags)
		}
	}
}

// TestAliases holds what mailbox_alias of Dovecot makes: links to folders.
func TestAliases(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	defer b.close()
	for link, target := range map[string]string{
		".Sent Items": ".Sent", ".Away": "../bob@example.org", ".Abs": "/etc", ".Dangling": ".Nowhere", ".ToInbox": ".", ".Loop": ".Loop",
	} {
		if err := tree.Symlink(target, alice+link); err != nil {
			t.Fatal(err)
		}
	}
	want := func(err, target error) {
		t.Helper()
		if !errors.Is(err, target) {
			t.Errorf("error %v, want %v", err, target)
		}
	}
	if err := b.account.Create(ctx, "Sent"); err != nil {
		t.Fatal(err)
	}
	direct, err := b.account.Open(ctx, "Sent")
	want(err, nil)
	defer direct.Close()
	alias, err := b.account.Open(ctx, "Sent Items")
	want(err, nil)
	defer alias.Close()
	if _, err := alias.Append(ctx, storagetest.Draft("a")); err != nil {
		t.Fatal(err)
	}
	if got := storagetest.Subjects(t, direct); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q", got)
	}
	v, w := storagetest.Check(t, alias), storagetest.Check(t, direct)
	if v != w {
		t.Error("two states of one mailbox")
	}
	infos, err := b.account.Mailboxes(ctx)
	want(err, nil)
	for _, info := range infos {
		if !slices.Contains([]string{"INBOX", "Sent", "Drafts", "Trash", "Junk"}, info.Name) {
			t.Errorf("%q is listed", info.Name)
		}
	}
	for _, name := range []string{"Away", "Abs", "Dangling", "ToInbox", "Loop"} {
		_, err := b.account.Open(ctx, name)
		want(err, storage.ErrNoSelect)
		want(b.account.Create(ctx, name), storage.ErrExists)
		want(b.account.Delete(ctx, name), storage.ErrNoMailbox)
	}
	want(b.account.Rename(ctx, "Sent Items", "x"), storage.ErrName)
	want(b.account.Rename(ctx, "Sent", "x"), storage.ErrName)
	want(b.account.Delete(ctx, "Sent"), storage.ErrName)
	want(b.account.Subscribe(ctx, "Sent Items", true), nil)
	if got := b.read(alice + "subscriptions"); strings.Contains(got, "Items") || !strings.Contains(got, "Sent\n") {
		t.Errorf("%q", got)
	}
	want(b.account.Delete(ctx, "Sent Items"), nil)
	if got := storagetest.Subjects(t, direct); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after the alias was deleted: %q", got)
	}
	want(b.account.Delete(ctx, "Sent"), nil)
}

// TestSpecialFolders holds that they are there before they are.
func TestSpecialFolders(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBox(t, Config{FS: crashfs.New(), Hostname: "here", Special: []SpecialFolder{{"Gesendet", `\Sent`}, {"Papierkorb", `\Trash`}}})
	defer b.close()
	show := func() string {
		t.Helper()
		infos, err := b.account.Mailboxes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		subscribed, err := b.account.Subscriptions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v %q", infos, subscribed)
	}
	before := show()
	if before != `[{Name:Gesendet SpecialUse:\Sent NoSelect:false NonExist:true Subscribed:true NewMail:false} {Name:INBOX SpecialUse: NoSelect:false NonExist:false Subscribed:false NewMail:false} {Name:Papierkorb SpecialUse:\Trash NoSelect:false NonExist:true Subscribed:true NewMail:false}] ["Gesendet" "Papierkorb"]` {
		t.Errorf("%s", before)
	}
	m, err := b.account.Open(ctx, "Gesendet")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Deliver(ctx, storagetest.Draft("a")); err != nil {
		t.Fatal(err)
	}
	storagetest.Check(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := show(); got != strings.Replace(before, "NonExist:true", "NonExist:false", 1) {
		t.Errorf("after first use: %s", got)
	}
	if err := b.account.Subscribe(ctx, "Papierkorb", false); err != nil {
		t.Fatal(err)
	}
	if got := show(); !strings.HasSuffix(got, ` Subscribed:false NewMail:false}] ["Gesendet"]`) {
		t.Errorf("after unsubscribing: %s", got)
	}
}

// TestHiddenDirectories holds that Sieve scripts cannot be reached as mailboxes.
func TestHiddenDirectories(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBox(t, Config{FS: crashfs.New(), Hostname: "here"})
	defer b.close()
	for _, dir := range []string{".sieve", ".dovecot.sieve", ".dovecot.lda-dupes.locks"} {
		if err := b.fs.Mkdir(alice+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sieve", "dovecot/sieve", "dovecot"} {
		if _, err := b.account.Open(ctx, name); !errors.Is(err, storage.ErrName) {
			t.Errorf("open %s: %v", name, err)
		}
		if err := b.account.Delete(ctx, name); !errors.Is(err, storage.ErrName) {
			t.Errorf("delete %s: %v", name, err)
		}
		if err := b.account.Rename(ctx, name, "x"); !errors.Is(err, storage.ErrName) {
			t.Errorf("rename %s: %v", name, err)
		}
	}
	infos, err := b.account.Mailboxes(ctx)
	if err != nil || len(infos) != 5 {
		t.Errorf("%+v, %v", infos, err)
	}
}

// TestFaults lets single operations fail with a full disk, one after the other,
// and holds that what failed has left nothing and what follows works.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*box, storage.Mailbox) error{
		"deliver": func(b *box, _ storage.Mailbox) error {
			return b.Deliver(b.t.Context(), storagetest.Draft("new"))
		},
		"append": func(b *box, _ storage.Mailbox) error {
			d := storagetest.Draft("new")
			d.Keywords = []string{"kw"}
			_, err := b.Append(b.t.Context(), d)
			return err
		},
		"copy": func(b *box, other storage.Mailbox) error {
			_, err := other.Copy(b.t.Context(), []storage.UID{1}, b.Mailbox)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				if faultAt(t, n, do) {
					return
				}
			}
		})
	}
}

// faultAt reports whether all went well: there was no n-th operation.
func faultAt(t *testing.T, n int64, do func(*box, storage.Mailbox) error) (done bool) {
	t.Helper()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	defer b.close()
	b.append("old")
	if err := b.account.Create(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	other, err := b.account.Open(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Append(t.Context(), storagetest.Draft("new")); err != nil {
		t.Fatal(err)
	}
	hit := false
	tree.Inject(func(o crashfs.Op) error {
		if n--; n == 0 && o.Changes() && o.Kind != "remove" && !(o.Kind == "write" && strings.HasSuffix(o.Name, ".lock")) {
			hit = true
			return syscall.ENOSPC
		}
		return nil
	})
	err = do(b, other)
	tree.Inject(nil)
	if hit != errors.Is(err, syscall.ENOSPC) {
		t.Errorf("fault %v: %v", hit, err)
	}
	want := []string{"old"}
	if err == nil {
		want = append(want, "new")
	}
	if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, want) {
		t.Errorf("holds %q, want %q", got, want)
	}
	if err := Check(tree, "."); err != nil {
		t.Error(err)
	}
	if tree.OpenFiles() != 0 {
		t.Errorf("%d files are open", tree.OpenFiles())
	}
	return n > 0
}

// TestCloseEndsAll holds that nothing is open after Close, whoever forgot what.
func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	uid := b.append("a")
	v := b.quiet()
	b.Changed(v)
	c, err := b.Content(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if n := tree.OpenFiles(); n != 0 {
		t.Errorf("%d open files", n)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := b.View(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := b.Deliver(t.Context(), storagetest.Draft("b")); !errors.Is(err, ErrClosed) {
		t.Errorf("deliver: %v", err)
	}
	if _, err := b.Content(t.Context(), uid); !errors.Is(err, ErrClosed) {
		t.Errorf("content: %v", err)
	}
	if _, err := b.store.Account(t.Context(), storagetest.Bob()); !errors.Is(err, ErrClosed) {
		t.Errorf("account: %v", err)
	}
}

// TestRefusedAccounts holds that a row cannot name another place.
func TestRefusedAccounts(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	s, err := New(Config{FS: tree, Path: "{maildir}", Hostname: "here"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, column := range []string{"", "..", "../x", "/abs", "a/../../b", "./a", "a/.b"} {
		o := storage.Owner{Address: mail.Address{Local: "a", Domain: "x.test"}, Maildir: column}
		if _, err := s.Account(t.Context(), o); err == nil {
			t.Errorf("%q is taken", column)
		}
	}
	if names, err := tree.ReadDirNames("."); err != nil || len(names) != 0 {
		t.Errorf("made %q, %v", names, err)
	}
}

// TestUIDValidityAmongProcesses lets several stores, as processes that know
// nothing of each other, give out values at once.
func TestUIDValidityAmongProcesses(t *testing.T) {
	t.Parallel()
	root := newRoot(t, t.TempDir())
	var mu sync.Mutex
	given := map[uint32]bool{}
	var wg sync.WaitGroup
	for i := range 3 {
		b := newBox(t, Config{FS: root, Hostname: fmt.Sprint("host", i)})
		defer b.close()
		a := b.account.(*accountHandle).account
		if i == 0 { // the first makes the marker
			if _, err := a.nextUIDValidity(0); err != nil {
				t.Fatal(err)
			}
		}
		wg.Go(func() {
			for range 20 {
				v, err := a.nextUIDValidity(0)
				mu.Lock()
				if err != nil || given[v] {
					t.Errorf("value %d again, %v", v, err)
				}
				given[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(given) != 60 {
		t.Errorf("%d values", len(given))
	}
}

// bigMailbox makes a mailbox of n messages as Dovecot would have left it.
func bigMailbox(tb testing.TB, root string, n int) {
	tb.Helper()
	dir := filepath.Join(root, alice)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	list := fmt.Appendf(nil, "3 V1795410753 N1 G5013033541cb036bd369000083ecc375\n")
	for i := range n {
		base := fmt.Sprintf("1795410753.M%dP27091.vm,S=0,W=0", i)
		list = fmt.Appendf(list, "%d :%s\n", i+1, base)
		f, err := os.OpenFile(filepath.Join(dir, "cur", base+":2,S"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			tb.Fatal(err)
		}
		f.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, uidListFile), list, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkOpen opens a mailbox of 100 000 messages, the first time without a
// uidlist.
func BenchmarkOpen(b *testing.B) {
	b.Run("First", func(b *testing.B) { benchOpen(b, true) })
	b.Run("Again", func(b *testing.B) { benchOpen(b, false) })
}

func benchOpen(b *testing.B, first bool) {
	root := b.TempDir()
	bigMailbox(b, root, 100000)
	s, err := New(Config{FS: newRoot(b, root), Hostname: "here"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	a, err := s.Account(b.Context(), storagetest.Alice())
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	b.ReportAllocs()
	list := filepath.Join(root, alice, uidListFile)
	for b.Loop() {
		if first {
			if err := os.Remove(list); err != nil {
				b.Fatal(err)
			}
		}
		m, err := a.Open(b.Context(), "INBOX")
		if err != nil {
			b.Fatal(err)
		}
		v, err := m.View(b.Context())
		if err != nil || len(v.Messages) != 100000 {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeliver delivers 4 KB messages from 32 goroutines, each way of making
// them durable without and with a quota that is counted.
func BenchmarkDeliver(b *testing.B) {
	for _, journaled := range []bool{false, true} {
		for _, counted := range []bool{false, true} {
			b.Run(fmt.Sprintf("journal=%v/quota=%v", journaled, counted), func(b *testing.B) { benchDeliver(b, journaled, counted) })
		}
	}
}

func benchDeliver(b *testing.B, journaled, counted bool) {
	c := Config{FS: newRoot(b, b.TempDir()), Hostname: "here"}
	if journaled {
		j, err := journal.Open(journal.Config{FS: c.FS, Dir: ".gomaild", Size: 64 << 20})
		if err != nil {
			b.Fatal(err)
		}
		defer j.Close()
		c.Journal = j
	}
	s, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	o := storagetest.Alice()
	o.Limits = storage.Limits{Counted: counted, Max: storage.Usage{Bytes: 1 << 50}, Grace: 10}
	a, err := s.Account(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	m, err := a.Open(b.Context(), "INBOX")
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	text := storagetest.Text(strings.Repeat("x", 4000))
	b.SetParallelism(16)
	b.ResetTimer()
	before := processorTime(b)
	defer func() { b.ReportMetric(float64(processorTime(b)-before)/1e3/float64(b.N), "cpu-us/op") }()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := m.Deliver(b.Context(), storage.Draft{Content: strings.NewReader(text)}); err != nil {
				b.Error(err)
			}
		}
	})
}

// processorTime is what this process has used, in nanoseconds: unlike the time on
// the wall it says something on a busy machine too.
func processorTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// TestModes holds the modes of what is made.
func TestModes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, root), Hostname: "here"})
	b.append("a")
	b.close()
	err := filepath.WalkDir(filepath.Join(root, "example.org"), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fileMode
		if e.IsDir() {
			want = fs.ModeDir | dirMode
		}
		if info.Mode() != want {
			t.Errorf("%s: %v", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDates holds INTERNALDATE through a copy and in every mailbox.
func TestDates(t *testing.T) {
	t.Parallel()
	b := newBox(t, Config{FS: newRoot(t, t.TempDir()), Hostname: "here"})
	defer b.close()
	for _, date := range []time.Time{time.Unix(1, 0), time.Date(2033, 5, 18, 3, 33, 20, 0, time.UTC)} {
		d := storagetest.Draft("a")
		d.InternalDate = date
		uid, err := b.Append(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := b.Copy(t.Context(), []storage.UID{uid}, b.Mailbox)
		if err != nil {
			t.Fatal(err)
		}
		for _, uid := range append(copied, uid) {
			info, err := b.Info(t.Context(), uid)
			if err != nil || !info.InternalDate.Equal(date) || time.Since(info.SaveDate) > time.Hour {
				t.Errorf("UID %d: %+v, %v", uid, info, err)
			}
		}
	}
}
