package storagetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"gomaild/storage"
)

// changeTests are about what RFC 7162, 8474 and 5464 ask of a store.
var changeTests = []test{
	{"vanished: all that went since, none that is there", testVanished},
	{"vanished: of a time nobody knows, everything not in use", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a", "b", "c", "d")
		w.ok(m.Expunge(w.ctx, []storage.UID{2, 3}))
		w.vanished(m, w.view(m), 0, "[{2 3}]")
	}},
	{"a mailbox has an id that a rename keeps and a namesake has not", testMailboxID},
	{"a message has an id that copies and moves keep", testEmailID},
	{"annotations are kept for each mailbox and the account", testAnnotations},
	{"annotations that cannot be change nothing", testBadAnnotations},
}

// vanished wants every UID of want, and none that v holds.
func (w *world) vanished(m storage.Mailbox, v *storage.View, since storage.ModSeq, want string) {
	w.t.Helper()
	got, err := m.Vanished(w.ctx, v, since)
	w.ok(err)
	if fmt.Sprint(got) != want {
		w.t.Errorf("vanished since %d: %v, want %s", since, got, want)
	}
}

func testVanished(_ *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a", "b", "c", "d", "e")
	start := w.view(m)
	w.ok(m.Expunge(w.ctx, []storage.UID{4}))
	first := w.view(m)
	w.ok(m.Expunge(w.ctx, []storage.UID{2, 3}))
	second := w.view(m)
	w.vanished(m, second, start.HighestModSeq, "[{2 4}]")
	w.vanished(m, second, first.HighestModSeq, "[{2 3}]")
	w.vanished(m, second, second.HighestModSeq, "[]")
	w.vanished(m, first, start.HighestModSeq, "[{4 4}]")
}

func testMailboxID(t *testing.T, w *world) {
	id := w.view(w.create("A")).MailboxID
	w.ok(w.account.Rename(w.ctx, "A", "B"))
	if got := w.view(w.open("B")).MailboxID; got != id || !isObjectID(id) {
		t.Errorf("id %q became %q", id, got)
	}
	if other := w.view(w.create("A")).MailboxID; other == id {
		t.Errorf("two mailboxes are %q", id)
	}
}

// isObjectID is the syntax of RFC 8474 section 7.
func isObjectID(s string) bool {
	return s != "" && len(s) <= 255 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func testEmailID(t *testing.T, w *world) {
	m, to := w.open("INBOX"), w.create("A")
	w.fill(m, "a", "b")
	one, err := m.Info(w.ctx, 1)
	w.ok(err)
	two, err := m.Info(w.ctx, 2)
	w.ok(err)
	_, err = m.Move(w.ctx, []storage.UID{1}, to)
	w.ok(err)
	moved, err := to.Info(w.ctx, 1)
	w.ok(err)
	for _, into := range []storage.Mailbox{m, m, to, to, m} { // names may be taken there
		from := m
		if into == m {
			from = to
		}
		here := storage.UID(1)
		if from == m {
			here = w.view(m).Messages[1].UID
		}
		uids, err := from.Copy(w.ctx, []storage.UID{here}, into)
		w.ok(err)
		copied, err := into.Info(w.ctx, uids[0])
		w.ok(err)
		if copied.EmailID != one.EmailID {
			t.Errorf("id %q, of a copy %q", one.EmailID, copied.EmailID)
		}
	}
	same, err := to.Copy(w.ctx, []storage.UID{1}, to)
	w.ok(err)
	copied, err := to.Info(w.ctx, same[0])
	w.ok(err)
	if copied.EmailID != one.EmailID {
		t.Errorf("id %q, of a copy within the mailbox %q", one.EmailID, copied.EmailID)
	}
	if moved.EmailID != one.EmailID || one.EmailID == two.EmailID || !isObjectID(one.EmailID) {
		t.Errorf("ids %q, %q, after the move %q", one.EmailID, two.EmailID, moved.EmailID)
	}
}

func testAnnotations(t *testing.T, w *world) {
	w.create("A")
	odd, plain := "tab\tline\nnul\x00one\x01 t", "plain"
	w.ok(w.account.Annotate(w.ctx, "A", map[string]*string{"/private/comment": &odd, "/Shared/Comment": &plain}))
	w.ok(w.account.Annotate(w.ctx, "", map[string]*string{"/shared/admin": &plain}))
	w.annotations("A", storage.Annotations{"/private/comment": odd, "/shared/comment": plain})
	version := func() string {
		v, err := w.account.AnnotationsVersion(w.ctx)
		w.ok(err)
		return v
	}
	before := version()
	if again := version(); again != before {
		w.t.Errorf("version %q after %q, and nothing was changed", again, before)
	}
	m := w.open("A")
	old := w.view(m)
	w.ok(w.account.Annotate(w.ctx, "A", map[string]*string{"/private/comment": &plain}))
	if now := w.view(m); now.HighestModSeq <= old.HighestModSeq || now.UIDValidity != old.UIDValidity {
		t.Errorf("HIGHESTMODSEQ %d after %d", now.HighestModSeq, old.HighestModSeq)
	}
	if after := version(); after == before {
		w.t.Errorf("version %q after a change", after)
	}
	w.ok(w.account.Annotate(w.ctx, "A", map[string]*string{"/private/comment": &odd}))
	w.annotations("INBOX", storage.Annotations{})
	w.annotations("", storage.Annotations{"/shared/admin": plain})
	w.ok(w.account.Rename(w.ctx, "A", "B"))
	w.ok(w.account.Annotate(w.ctx, "B", map[string]*string{"/shared/comment": nil, "/shared/none": nil}))
	w.annotations("B", storage.Annotations{"/private/comment": odd})
}

func (w *world) annotations(mailbox string, want storage.Annotations) {
	w.t.Helper()
	got, err := w.account.Annotations(w.ctx, mailbox)
	w.ok(err)
	if !maps.Equal(got, want) {
		w.t.Errorf("annotations of %q: %q, want %q", mailbox, got, want)
	}
}

func testBadAnnotations(_ *testing.T, w *world) {
	good, long := "x", strings.Repeat("x", storage.MaxAnnotation+1)
	for _, entry := range []string{"comment", "/private/", "/private//x", "/private/a*", "/other/x", "/private/a\nb"} {
		w.want(w.account.Annotate(w.ctx, "INBOX", map[string]*string{entry: &good}), storage.ErrName)
	}
	w.want(w.account.Annotate(w.ctx, "INBOX", map[string]*string{"/private/x": &long}), storage.ErrAnnotationSize)
	many := map[string]*string{}
	for i := range storage.MaxAnnotations + 1 {
		many[fmt.Sprintf("/private/%d", i)] = &good
	}
	w.want(w.account.Annotate(w.ctx, "INBOX", many), storage.ErrAnnotationCount)
	w.want(w.account.Annotate(w.ctx, "Nowhere", map[string]*string{"/private/x": &good}), storage.ErrNoMailbox)
	w.annotations("INBOX", storage.Annotations{})
}
