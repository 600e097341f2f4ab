package storagetest

import (
	"slices"
	"testing"

	"gomaild/storage"
)

// mailboxTests are about the set of mailboxes.
var mailboxTests = []test{
	{"INBOX is always there", func(_ *testing.T, w *world) {
		w.info("INBOX")
		w.want(w.account.Create(w.ctx, "INBOX"), storage.ErrExists)
		w.want(w.account.Delete(w.ctx, "INBOX"), storage.ErrName)
	}},
	{"names in many scripts", func(_ *testing.T, w *world) {
		for _, name := range []string{"Übung", "日本/語", "emoji 😀", "A & B", `q"uo\te`, "a%b", "INBOX/Child", "with space"} {
			w.fill(w.create(name), name)
			w.info(name)
		}
	}},
	{"names that cannot be", func(_ *testing.T, w *world) {
		for _, name := range []string{"", "/", "/a", "a//b"} {
			if err := w.account.Create(w.ctx, name); err == nil {
				w.t.Errorf("%q was made", name)
			}
			if m, err := w.account.Open(w.ctx, name); err == nil {
				w.ok(m.Close())
				w.t.Errorf("%q was opened", name)
			}
		}
	}},
	{"create does not make parents, list shows them", testParents},
	{"create twice", func(_ *testing.T, w *world) {
		w.create("a")
		w.want(w.account.Create(w.ctx, "a"), storage.ErrExists)
	}},
	{"a mailbox that is not there", func(_ *testing.T, w *world) {
		_, err := w.account.Open(w.ctx, "nowhere")
		w.want(err, storage.ErrNoMailbox)
		w.want(w.account.Delete(w.ctx, "nowhere"), storage.ErrNoMailbox)
		w.want(w.account.Rename(w.ctx, "nowhere", "else"), storage.ErrNoMailbox)
		w.want(w.account.Subscribe(w.ctx, "nowhere", true), storage.ErrNoMailbox)
	}},
	{"a mailbox made again has a higher UIDVALIDITY", testMadeAgain},
	{"delete keeps children and tells those who have it open", testDelete},
	{"rename takes children, UIDs and open sessions along", testRename},
	{"rename onto another or below itself", func(_ *testing.T, w *world) {
		w.create("a")
		w.create("b")
		w.create("c/x")
		w.create("d/x")
		w.want(w.account.Rename(w.ctx, "a", "b"), storage.ErrExists)
		w.want(w.account.Rename(w.ctx, "a", "INBOX"), storage.ErrExists)
		w.want(w.account.Rename(w.ctx, "a", "a/b"), storage.ErrName)
		w.want(w.account.Rename(w.ctx, "c", "d"), storage.ErrExists)
		w.ok(w.account.Rename(w.ctx, "c", "e"))
		w.info("e/x")
	}},
	{"rename of INBOX moves its messages", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a", "b")
		w.ok(w.account.Rename(w.ctx, "INBOX", "Old"))
		w.subjects(w.open("Old"), "a", "b")
		w.subjects(m)
		if got := w.fill(m, "c"); got[0] != 3 {
			t.Errorf("UID %d in INBOX after it", got[0])
		}
	}},
	{"subscriptions outlive the mailbox", testSubscriptions},
	{"new mail marks a mailbox", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.ok(m.Deliver(w.ctx, Draft("a")))
		if !w.info("INBOX").NewMail {
			t.Error("not marked")
		}
		w.view(m)
		if w.info("INBOX").NewMail {
			t.Error("still marked")
		}
	}},
	{"accounts are apart", func(_ *testing.T, w *world) {
		w.fill(w.open("INBOX"), "for alice")
		w.subjects(w.openIn(w.login(Bob()), "INBOX"))
	}},
	{"what is closed answers nothing", func(t *testing.T, w *world) {
		m, err := w.account.Open(w.ctx, "INBOX")
		w.ok(err)
		w.ok(m.Close())
		w.ok(m.Close())
		if _, err := m.View(w.ctx); err == nil {
			t.Error("view of a closed mailbox")
		}
		if err := m.Deliver(w.ctx, Draft("a")); err == nil {
			t.Error("delivery to a closed mailbox")
		}
	}},
}

func testParents(t *testing.T, w *world) {
	w.create("a/b/c")
	for _, parent := range []string{"a", "a/b"} {
		if i := w.info(parent); !i.NoSelect || !i.NonExist {
			t.Errorf("%+v", i)
		}
		_, err := w.account.Open(w.ctx, parent)
		w.want(err, storage.ErrNoSelect)
	}
	if i := w.info("a/b/c"); i.NoSelect || i.NonExist {
		t.Errorf("%+v", i)
	}
	w.create("a")
	if i := w.info("a"); i.NoSelect || i.NonExist {
		t.Errorf("%+v", i)
	}
}

func testMadeAgain(t *testing.T, w *world) {
	var last uint32
	for range 3 {
		m := w.create("again")
		w.fill(m, "x")
		v := w.view(m)
		if v.UIDValidity <= last {
			t.Fatalf("UIDVALIDITY %d after %d", v.UIDValidity, last)
		}
		last = v.UIDValidity
		w.ok(w.account.Delete(w.ctx, "again"))
	}
}

func testDelete(t *testing.T, w *world) {
	w.create("a/b")
	m := w.create("a")
	w.fill(m, "x")
	changed := m.Changed(w.view(m))
	w.ok(w.account.Delete(w.ctx, "a"))
	<-changed
	_, err := m.View(w.ctx)
	w.want(err, storage.ErrNoMailbox)
	w.want(m.Deliver(w.ctx, Draft("y")), storage.ErrNoMailbox)
	if i := w.info("a"); !i.NoSelect {
		t.Errorf("%+v", i)
	}
	w.info("a/b")
	again := w.create("a")
	w.subjects(again)
}

func testRename(t *testing.T, w *world) {
	m, child := w.create("a"), w.create("a/b/c")
	w.create("ab")
	w.fill(m, "x", "y")
	w.ok(m.Expunge(w.ctx, []storage.UID{1}))
	w.fill(child, "z")
	before := w.view(m)
	w.ok(w.account.Rename(w.ctx, "a", "n/ew"))
	for _, name := range []string{"a", "a/b/c"} {
		if slices.Contains(w.names(), name) {
			t.Errorf("%s is still listed", name)
		}
	}
	w.info("ab")
	w.subjects(w.open("n/ew/b/c"), "z")
	now := w.view(w.open("n/ew"))
	if now.UIDValidity != before.UIDValidity || now.UIDNext != 3 {
		t.Errorf("%+v, before %+v", now, before)
	}
	w.subjects(m, "y") // the open session followed
	w.fill(m, "more")
	w.subjects(w.open("n/ew"), "y", "more")
}

func testSubscriptions(t *testing.T, w *world) {
	has := func(name string) bool {
		t.Helper()
		all, err := w.account.Subscriptions(w.ctx)
		w.ok(err)
		if !slices.IsSorted(all) {
			t.Errorf("not sorted: %q", all)
		}
		return slices.Contains(all, name)
	}
	w.create("Grüße/a")
	w.ok(w.account.Subscribe(w.ctx, "Grüße/a", true))
	w.ok(w.account.Subscribe(w.ctx, "Grüße/a", true))
	w.ok(w.account.Subscribe(w.ctx, "INBOX", true))
	if !has("Grüße/a") || !has("INBOX") || !w.info("Grüße/a").Subscribed || w.info("Grüße").Subscribed {
		t.Error("not subscribed")
	}
	w.ok(w.account.Delete(w.ctx, "Grüße/a"))
	if !has("Grüße/a") {
		t.Error("forgotten with the mailbox")
	}
	w.ok(w.account.Subscribe(w.ctx, "Grüße/a", false))
	w.ok(w.account.Subscribe(w.ctx, "never", false))
	if has("Grüße/a") || !has("INBOX") {
		t.Error("still subscribed")
	}
}
