package storagetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gomaild/storage"
)

// Run runs the suite. open makes a new, empty store for each test; the test
// closes it.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	t.Parallel()
	for _, tt := range slices.Concat(messageTests, mailboxTests, changeTests, quotaTests, specialUseTests) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(t))
			tt.run(t, w)
			w.checkAll()
		})
	}
}

// test is one rule.
type test struct {
	name string
	run  func(*testing.T, *world)
}

// world is a store with one account.
type world struct {
	t       *testing.T
	ctx     context.Context
	store   storage.Store
	account storage.Account
}

func newWorld(t *testing.T, s storage.Store) *world {
	w := &world{t: t, ctx: t.Context(), store: s}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	w.account = w.login(Alice())
	return w
}

func (w *world) login(o storage.Owner) storage.Account {
	w.t.Helper()
	a, err := w.store.Account(w.ctx, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.ok(a.Close()) })
	return a
}

// checkAll holds Check of every mailbox and of the account at the end of every test.
func (w *world) checkAll() {
	w.t.Helper()
	infos, err := w.account.Mailboxes(w.ctx)
	w.ok(err)
	for _, info := range infos {
		if !info.NoSelect && !info.NonExist {
			Check(w.t, w.open(info.Name))
		}
	}
	faults, err := w.account.Check(w.ctx)
	w.ok(err)
	if len(faults) > 0 {
		w.t.Errorf("the account breaks its rules: %q", faults)
	}
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
		w.t.Fatalf("error %v, want %v", err, target)
	}
}

func (w *world) open(name string) storage.Mailbox { return w.openIn(w.account, name) }

func (w *world) openIn(a storage.Account, name string) storage.Mailbox {
	w.t.Helper()
	m, err := a.Open(w.ctx, name)
	w.ok(err)
	w.t.Cleanup(func() { w.ok(m.Close()) })
	return m
}

func (w *world) create(name string) storage.Mailbox {
	w.t.Helper()
	w.ok(w.account.Create(w.ctx, name))
	return w.open(name)
}

func (w *world) view(m storage.Mailbox) *storage.View {
	w.t.Helper()
	v, err := m.View(w.ctx)
	w.ok(err)
	return v
}

// fill appends messages with these subjects and returns their UIDs.
func (w *world) fill(m storage.Mailbox, subjects ...string) []storage.UID {
	w.t.Helper()
	var uids []storage.UID
	for _, s := range subjects {
		uid, err := m.Append(w.ctx, Draft(s))
		w.ok(err)
		uids = append(uids, uid)
	}
	return uids
}

func (w *world) subjects(m storage.Mailbox, want ...string) {
	w.t.Helper()
	if got := Subjects(w.t, m); !slices.Equal(got, want) {
		w.t.Fatalf("%s holds %q, want %q", m.Name(), got, want)
	}
}

func (w *world) names() []string {
	w.t.Helper()
	infos, err := w.account.Mailboxes(w.ctx)
	w.ok(err)
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

func (w *world) info(name string) storage.MailboxInfo {
	w.t.Helper()
	infos, err := w.account.Mailboxes(w.ctx)
	w.ok(err)
	for _, i := range infos {
		if i.Name == name {
			return i
		}
	}
	w.t.Fatalf("%q is not listed", name)
	return storage.MailboxInfo{}
}

func (w *world) message(m storage.Mailbox, uid storage.UID) storage.Message {
	w.t.Helper()
	v := w.view(m)
	i, ok := v.Index(uid)
	if !ok {
		w.t.Fatalf("UID %d is not in %s", uid, m.Name())
	}
	return v.Messages[i]
}
