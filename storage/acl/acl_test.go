package acl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/acl"
	"gomaild/storage/maildir"
	"gomaild/storage/memory"
	"gomaild/storage/storagetest"
)

// dictionary is an acl.Dictionary in memory.
type dictionary struct {
	mu   sync.Mutex
	text string
}

func (d *dictionary) Read(context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text, nil
}

func (d *dictionary) Edit(_ context.Context, change func(string) ([]byte, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := change(d.text)
	if err == nil && text != nil {
		d.text = string(text)
	}
	return err
}

// ownerOf knows alice, bob and carol; the domain down.test cannot be asked.
func ownerOf(_ context.Context, a mail.Address) (storage.Owner, error) {
	switch {
	case a.Domain == "down.test":
		return storage.Owner{}, errors.New("database does not answer")
	case a.Domain == "example.org" && slices.Contains([]string{"alice", "bob", "carol"}, a.Local):
		return storage.Owner{Address: a}, nil
	}
	return storage.Owner{}, storage.ErrNoMailbox
}

func guard(s storage.Store, d acl.Dictionary) *acl.Store {
	return acl.New(acl.Config{
		Store: s, Owner: ownerOf, Dictionary: d,
		Groups: func(a mail.Address) []string {
			if a.Local == "bob" {
				return []string{"team"}
			}
			return nil
		},
	})
}

func TestSuiteOnMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return guard(&memory.Store{}, &dictionary{}) })
}

func TestSuiteOnMaildir(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		root, err := durable.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store, err := maildir.New(maildir.Config{FS: root})
		if err != nil {
			t.Fatal(err)
		}
		return guard(store, store.SharedFile("shared/boxes.db"))
	})
}

// world has alice, who shares, and bob.
type world struct {
	t          *testing.T
	inner      *memory.Store
	dict       *dictionary
	alice, bob storage.Guarded
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, inner: &memory.Store{}, dict: &dictionary{}}
	store := guard(w.inner, w.dict)
	open := func(local string) storage.Guarded {
		a, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: local, Domain: "example.org"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.ok(a.Close()) })
		return a.(storage.Guarded)
	}
	w.alice, w.bob = open("alice"), open("bob")
	w.ok(w.alice.Create(t.Context(), "Box"))
	w.ok(w.alice.Create(t.Context(), "Box/Sub"))
	box := w.open(w.alice, "Box")
	d := storagetest.Draft("one")
	d.Flags, d.Keywords = storage.Seen|storage.Flagged, []string{"k"}
	_, err := box.Append(t.Context(), d)
	w.ok(err)
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err, target error) {
	w.t.Helper()
	if !errors.Is(err, target) {
		w.t.Errorf("error %v, want %v", err, target)
	}
}

func (w *world) open(a storage.Account, name string) storage.Mailbox {
	w.t.Helper()
	m, err := a.Open(w.t.Context(), name)
	w.ok(err)
	w.t.Cleanup(func() { w.ok(m.Close()) })
	return m
}

// grant gives bob exactly these rights to alice's mailbox.
func (w *world) grant(mailbox, letters string) {
	w.t.Helper()
	r, ok := storage.ParseRights(letters)
	if !ok {
		w.t.Fatalf("rights %q", letters)
	}
	w.ok(w.alice.Grant(w.t.Context(), mailbox, storage.ReplaceFlags, storage.Grant{Kind: storage.GrantUser, Name: "bob@example.org", Rights: r}))
}

const shared = "Shared/alice@example.org/Box"

// TestOperations: each thing that can be done needs exactly the rights in its
// row: with all others it is refused, with these it is done. Where l is missing
// too, the refusal is that of a mailbox that does not exist.
func TestOperations(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	draft := func() storage.Draft { return storagetest.Draft("new") }
	with := func(w *world, name string, do func(m storage.Mailbox) error) error {
		m, err := w.bob.Open(ctx, name)
		if err != nil {
			return err
		}
		return errors.Join(do(m), m.Close())
	}
	flags := func(e storage.FlagEdit) func(*world) error {
		return func(w *world) error {
			return with(w, shared, func(m storage.Mailbox) error {
				_, err := m.SetFlags(ctx, []storage.UID{1}, e, 0)
				return err
			})
		}
	}
	move := func(do func(from, to storage.Mailbox) error, from, to string) func(*world) error {
		return func(w *world) error {
			return with(w, from, func(m storage.Mailbox) error {
				return with(w, to, func(target storage.Mailbox) error { return do(m, target) })
			})
		}
	}
	copyOne := func(from, to storage.Mailbox) error {
		_, err := from.Copy(ctx, []storage.UID{1}, to)
		return err
	}
	moveOne := func(from, to storage.Mailbox) error {
		_, err := from.Move(ctx, []storage.UID{1}, to)
		return err
	}
	entry, note := "/shared/comment", "x"
	tests := []struct {
		name   string
		rights string // all of these
		do     func(w *world) error
	}{
		{"View", "r", func(w *world) error {
			return with(w, shared, func(m storage.Mailbox) error { _, err := m.View(ctx); return err })
		}},
		{"Append", "i", func(w *world) error {
			return with(w, shared, func(m storage.Mailbox) error { _, err := m.Append(ctx, draft()); return err })
		}},
		{"Deliver", "p", func(w *world) error {
			return with(w, shared, func(m storage.Mailbox) error { return m.Deliver(ctx, draft()) })
		}},
		{"set \\Seen", "rs", flags(storage.FlagEdit{Op: storage.RemoveFlags, Flags: storage.Seen})},
		{"set \\Deleted", "rt", flags(storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Deleted})},
		{"set \\Flagged", "rw", flags(storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Flagged})},
		{"set a keyword", "rw", flags(storage.FlagEdit{Op: storage.AddFlags, Keywords: []string{"k2"}})},
		{"Expunge", "re", func(w *world) error {
			return with(w, shared, func(m storage.Mailbox) error { return m.Expunge(ctx, []storage.UID{1}) })
		}},
		{"Copy from", "r", move(copyOne, shared, "INBOX")},
		{"Copy to", "i", func(w *world) error {
			_, err := w.open(w.bob, "INBOX").Append(ctx, draft())
			return errors.Join(err, move(copyOne, "INBOX", shared)(w))
		}},
		{"Move from", "rte", move(moveOne, shared, "INBOX")},
		{"Create below", "k", func(w *world) error { return w.bob.Create(ctx, shared+"/New") }},
		{"Delete", "x", func(w *world) error { return w.bob.Delete(ctx, shared) }},
		{"ACL", "a", func(w *world) error { _, err := w.bob.Grants(ctx, shared); return err }},
		{"Grant", "a", func(w *world) error {
			return w.bob.Grant(ctx, shared, storage.AddFlags, storage.Grant{Kind: storage.GrantUser, Name: "carol@example.org", Rights: storage.RightRead})
		}},
		{"Revoke", "a", func(w *world) error {
			return w.bob.Revoke(ctx, shared, storage.Grant{Kind: storage.GrantUser, Name: "carol@example.org"})
		}},
		{"Annotations", "lr", func(w *world) error { _, err := w.bob.Annotations(ctx, shared); return err }},
		{"Annotate", "lr", func(w *world) error { return w.bob.Annotate(ctx, shared, map[string]*string{entry: &note}) }},
		{"Annotate with p", "lp", func(w *world) error { return w.bob.Annotate(ctx, shared, map[string]*string{entry: &note}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.grant("Box", tt.rights)
			w.ok(tt.do(w))
			for _, missing := range tt.rights {
				if tt.name == "Annotations" || strings.HasPrefix(tt.name, "Annotate") {
					break // other rights would do
				}
				w := newWorld(t)
				w.grant("Box", strings.ReplaceAll(storage.RightLetters, string(missing), ""))
				w.want(tt.do(w), storage.ErrPermission)
			}
			w = newWorld(t)
			w.grant("Box", "")
			want := storage.ErrNoMailbox
			if tt.name == "Create below" {
				want = storage.ErrPermission
			}
			if tt.name == "Copy to" {
				_, err := w.open(w.bob, "INBOX").Append(ctx, draft())
				w.ok(err)
			}
			w.want(tt.do(w), want)
		})
	}
}

// TestRename: x for the old name, k above the new one.
func TestRename(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	w.ok(w.alice.Create(ctx, "Other"))
	from, to := shared, "Shared/alice@example.org/Other/Box"
	w.grant("Box", "lrwstipeka")
	w.grant("Other", "lrwstipekxa")
	w.want(w.bob.Rename(ctx, from, to), storage.ErrPermission)
	w.grant("Box", "x")
	w.grant("Other", "lrwstipexa")
	w.want(w.bob.Rename(ctx, from, to), storage.ErrPermission)
	w.want(w.bob.Rename(ctx, from, "Shared/alice@example.org/Top"), storage.ErrPermission)
	w.want(w.bob.Rename(ctx, from, "Mine"), storage.ErrName)
	w.want(w.bob.Rename(ctx, "Shared/alice@example.org/Nothing", to), storage.ErrNoMailbox)
	w.grant("Other", "k")
	w.ok(w.bob.Rename(ctx, from, to))
	if _, err := w.alice.Open(ctx, "Other/Box"); err != nil {
		t.Error(err)
	}
}

// TestPartialFlags: what may not be changed stays, on SetFlags, Append and Copy.
func TestPartialFlags(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	flagsOf := func(w *world, uid storage.UID) string {
		m := w.open(w.alice, "Box")
		v, err := m.View(ctx)
		w.ok(err)
		i, found := v.Index(uid)
		if !found {
			t.Fatalf("UID %d is missing", uid)
		}
		return fmt.Sprintf("%05b %v", v.Messages[i].Flags, v.KeywordNames(v.Messages[i].Keywords))
	}
	tests := []struct {
		rights string
		edit   storage.FlagEdit // of a message with \Seen \Flagged k
		want   string           // \Draft \Deleted \Flagged \Answered \Seen, keywords
	}{
		{"rs", storage.FlagEdit{Op: storage.ReplaceFlags, Flags: storage.Deleted | storage.Answered}, "00100 [k]"},
		{"rt", storage.FlagEdit{Op: storage.ReplaceFlags, Flags: storage.Deleted | storage.Answered, Keywords: []string{"n"}}, "01101 [k]"},
		{"rw", storage.FlagEdit{Op: storage.ReplaceFlags, Flags: storage.Deleted | storage.Answered, Keywords: []string{"n"}}, "00011 [n]"},
		{"rwst", storage.FlagEdit{Op: storage.ReplaceFlags, Flags: storage.Deleted}, "01000 []"},
		{"rt", storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Deleted | storage.Answered}, "01101 [k]"},
		{"rs", storage.FlagEdit{Op: storage.RemoveFlags, Flags: storage.Seen | storage.Flagged, Keywords: []string{"k"}}, "00100 [k]"},
	}
	for _, tt := range tests {
		w := newWorld(t)
		w.grant("Box", tt.rights)
		_, err := w.open(w.bob, shared).SetFlags(ctx, []storage.UID{1}, tt.edit, 0)
		w.ok(err)
		if got := flagsOf(w, 1); got != tt.want {
			t.Errorf("%s %+v: %s, want %s", tt.rights, tt.edit, got, tt.want)
		}
	}

	full := storagetest.Draft("flags")
	full.Flags, full.Keywords = storage.Seen|storage.Deleted|storage.Flagged, []string{"k"}
	for rights, want := range map[string]string{"i": "00000 []", "is": "00001 []", "it": "01000 []", "iw": "00100 [k]", "iwst": "01101 [k]"} {
		w := newWorld(t)
		w.grant("Box", rights)
		d := full
		d.Content = strings.NewReader(storagetest.Text("flags"))
		_, err := w.open(w.bob, shared).Append(ctx, d)
		w.ok(err)
		if got := flagsOf(w, 2); got != want {
			t.Errorf("append with %s: %s, want %s", rights, got, want)
		}
		d.Content = strings.NewReader(storagetest.Text("flags"))
		mine := w.open(w.bob, "INBOX")
		uid, err := mine.Append(ctx, d)
		w.ok(err)
		_, err = mine.Copy(ctx, []storage.UID{uid}, w.open(w.bob, shared))
		w.ok(err)
		if got := flagsOf(w, 3); got != want {
			t.Errorf("copy with %s: %s, want %s", rights, got, want)
		}
	}
}

// TestListing: what bob sees of alice's follows her lists, and the dictionary
// says whose to look at.
func TestListing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	names := func() string {
		infos, err := w.bob.Mailboxes(ctx)
		w.ok(err)
		var all []string
		for _, info := range infos {
			name := strings.TrimPrefix(info.Name, "Shared/alice@example.org/")
			if info.NoSelect {
				name = "(" + name + ")"
			}
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	expect := func(when, want string) {
		t.Helper()
		if got := names(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	expect("nothing is shared", "INBOX")
	w.grant("Box/Sub", "l")
	expect("a child", "INBOX (Shared) (Shared/alice@example.org) (Box) Sub"[0:len("INBOX (Shared) (Shared/alice@example.org) (Box) ")]+"Box/Sub")
	w.grant("Box", "rwstipekxa")
	expect("everything but l", "INBOX (Shared) (Shared/alice@example.org) (Box) Box/Sub")
	w.grant("INBOX", "lr")
	expect("her INBOX", "INBOX (Shared) Shared/alice@example.org (Box) Box/Sub")
	w.ok(w.bob.Subscribe(ctx, shared, true)) // r is enough, as in Dovecot
	w.want(w.bob.Subscribe(ctx, "Shared/alice@example.org/Hidden", true), storage.ErrNoMailbox)
	if got, err := w.bob.Subscriptions(ctx); err != nil || !slices.Contains(got, shared) {
		t.Errorf("subscriptions %q, %v", got, err)
	}
	for _, name := range []string{"INBOX", "Box/Sub", "Box"} {
		w.ok(w.alice.Revoke(ctx, name, storage.Grant{Kind: storage.GrantUser, Name: "bob@example.org"}))
	}
	expect("nothing any more", "INBOX")
	if text, _ := w.dict.Read(ctx); text != "" {
		t.Errorf("dictionary %q", text)
	}
	w.ok(w.bob.Subscribe(ctx, shared, false))
	w.ok(w.alice.Grant(ctx, "Box", storage.ReplaceFlags, storage.Grant{Kind: storage.GrantGroup, Name: "team", Rights: storage.RightLookup}))
	expect("by group", "INBOX (Shared) (Shared/alice@example.org) Box")
	w.ok(w.alice.Rename(ctx, "Box", "Case"))
	expect("renamed", "INBOX (Shared) (Shared/alice@example.org) Case")
	w.ok(w.alice.Delete(ctx, "Case"))
	expect("deleted", "INBOX")

	// Her own, without l.
	w.ok(w.alice.Grant(ctx, "Case/Sub", storage.ReplaceFlags, storage.Grant{Kind: storage.GrantOwner, Rights: storage.RightRead}))
	infos, err := w.alice.Mailboxes(ctx)
	w.ok(err)
	if len(infos) != 1 || infos[0].Name != "INBOX" {
		t.Errorf("alice sees %+v", infos)
	}
}

// TestNobodyKnows: an account that is not there, one that shares nothing and a
// mailbox that is hidden cannot be told apart; a database that does not answer
// is none of them.
func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	w.grant("Box/Sub", "l")
	for _, name := range []string{shared, "Shared/alice@example.org/Nothing", "Shared/alice@example.org", "Shared/carol@example.org/Box", "Shared/nobody@example.org/Box", "Shared/nobody", "Shared/@/x"} {
		_, err := w.bob.Open(ctx, name)
		w.want(err, storage.ErrNoMailbox)
		_, err = w.bob.Rights(ctx, name)
		w.want(err, storage.ErrNoMailbox)
		w.want(w.bob.Delete(ctx, name), storage.ErrNoMailbox)
		w.want(w.bob.Rename(ctx, name, "x"), storage.ErrNoMailbox)
		w.want(w.bob.Subscribe(ctx, name, true), storage.ErrNoMailbox)
		_, err = w.bob.Grants(ctx, name)
		w.want(err, storage.ErrNoMailbox)
		_, err = w.bob.Annotations(ctx, name)
		w.want(err, storage.ErrNoMailbox)
		w.want(w.bob.Create(ctx, name+"/New"), storage.ErrPermission)
		w.want(w.bob.Create(ctx, name), storage.ErrPermission)
	}
	_, err := w.bob.Open(ctx, "Shared/x@down.test/Box")
	if err == nil || errors.Is(err, storage.ErrNoMailbox) {
		t.Errorf("database is down: %v", err)
	}
	w.grant("Box", "p")
	if _, err := w.bob.Rights(ctx, shared); !errors.Is(err, storage.ErrNoMailbox) {
		t.Errorf("with p alone: %v", err) // RFC 4314 section 4: it is for deliveries
	}
}

// TestRightsAreTakenBack: a mailbox that is open stops being readable.
func TestRightsAreTakenBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	w.grant("Box", "lr")
	m := w.open(w.bob, shared)
	_, err := m.View(ctx)
	w.ok(err)
	_, err = m.Info(ctx, 1)
	w.ok(err)
	w.grant("Box", "l")
	_, err = m.View(ctx)
	w.want(err, storage.ErrPermission)
	_, _, err = storagetest.Digest(ctx, m, 1)
	w.want(err, storage.ErrPermission)
}

// TestGrants: how entries change, and what cannot be one.
func TestGrants(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	lr := storage.RightLookup | storage.RightRead
	for _, g := range []storage.Grant{
		{Kind: storage.GrantAnyone, Rights: lr},
		{Kind: storage.GrantAuthenticated, Rights: lr},
		{Kind: storage.GrantUser, Name: "x\nanyone lrwstipekxa", Rights: lr},
		{Kind: storage.GrantUser, Name: strings.Repeat("x", 256), Rights: lr},
		{Kind: storage.GrantUser, Name: "\xff", Rights: lr},
	} {
		w.want(w.alice.Grant(ctx, "Box", storage.ReplaceFlags, g), storage.ErrName)
	}
	own := storage.Grant{Kind: storage.GrantUser, Name: "alice@example.org", Rights: lr}
	w.ok(w.alice.Grant(ctx, "Box", storage.ReplaceFlags, own))
	r, err := w.alice.Rights(ctx, "Box")
	w.ok(err)
	if r != lr|storage.RightAdminister {
		t.Errorf("the owner has %v, want a to be kept", r)
	}
	w.ok(w.alice.Grant(ctx, "Box", storage.RemoveFlags, storage.Grant{Kind: storage.GrantUser, Name: "alice@example.org", Rights: storage.AllRights}))
	if r, _ = w.alice.Rights(ctx, "Box"); r != storage.RightAdminister {
		t.Errorf("the owner has %v, want a to be kept", r)
	}
	w.ok(w.alice.Revoke(ctx, "Box", own))
	if r, _ = w.alice.Rights(ctx, "Box"); r != storage.AllRights {
		t.Errorf("without an entry the owner has %v", r)
	}
	w.ok(w.alice.Create(ctx, "Box/New"))
	w.grant("Box", "lrk")
	w.ok(w.alice.Create(ctx, "Box/Newer"))
	for name, want := range map[string]bool{"/New": false, "/Newer": true} {
		if _, err := w.bob.Open(ctx, shared+name); (err == nil) != want {
			t.Errorf("list of the one above, %s: %v", name, err)
		}
	}
}

// TestGlobalFile: one that changes is read again; one that cannot be read gives
// nobody anything; names do not leave the directory.
func TestGlobalFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "acls")
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	g := acl.NewGlobal(os.DirFS(dir), "acls")
	want := func(mailbox string, n int, fault error) {
		t.Helper()
		if got, err := g.For(mailbox); len(got) != n || !errors.Is(err, fault) {
			t.Errorf("%s: %+v, %v", mailbox, got, err)
		}
	}
	want("A", 0, nil)
	write(file, "A* owner lr\nAB anyone l\n")
	want("A", 1, nil)
	want("AB", 2, nil)
	write(file, "A* owner lr\nAB everybody l\n")
	want("A", 0, storage.ErrACL)
	want("C", 0, storage.ErrACL)
	write(file, "A owner l\n")
	want("A", 1, nil)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "secret"), "owner l\n")
	write(filepath.Join(file, "B"), "owner l\nanyone r\n")
	write(filepath.Join(file, "D/.DEFAULT"), "owner l\n")
	write(filepath.Join(file, "Bad"), "l\n")
	want("B", 2, nil)
	want("B/below", 0, nil)
	want("D", 1, nil)
	want("Bad", 0, storage.ErrACL)
	for _, name := range []string{"../secret", "B/../../secret", "/secret", "", ".", "none", "a\x00b"} {
		if got, _ := g.For(name); len(got) != 0 {
			t.Errorf("%q: %+v", name, got)
		}
	}
}
