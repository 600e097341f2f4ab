package storagetest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"gomaild/storage"
)

// messageTests are about one mailbox and what is in it.
var messageTests = []test{
	{"the maildrop lists what is there, in order", maildropInOrder},
	{"a new INBOX is empty", func(t *testing.T, w *world) {
		v := w.view(w.open("INBOX"))
		if len(v.Messages) != 0 || v.UIDNext != 1 || !v.MoreKeywords {
			t.Errorf("view %+v", v)
		}
	}},
	{"delivered messages come in the order of arrival", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		for i := range 12 {
			w.ok(m.Deliver(w.ctx, Draft(fmt.Sprint(i))))
		}
		v := w.view(m)
		w.subjects(m, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
		if v.UIDNext != 13 {
			t.Errorf("UIDNEXT %d", v.UIDNext)
		}
	}},
	{"what is read is what was written", testRoundTrip},
	{"a failing content stores nothing", testFailingContent},
	{"append keeps flags, keywords and date", testAppend},
	{"several messages are appended in order", testAppendAll},
	{"of several messages one of which fails none is stored", testAppendAllFails},
	{"the view is the same pointer until something changes", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a")
		v := w.view(m)
		if w.view(m) != v {
			t.Error("nothing changed, another view")
		}
		w.fill(m, "b")
		if w.view(m) == v || len(v.Messages) != 1 {
			t.Error("the old view changed")
		}
	}},
	{"changed is closed by delivery, and at once for an old view", testChanged},
	{"recent is told to one session", testRecent},
	{"flags are added, removed and replaced", testFlags},
	{"flags: unchangedSince", testUnchangedSince},
	{"flags: unknown UIDs are passed over", func(_ *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a")
		_, err := m.SetFlags(w.ctx, []storage.UID{1, 99}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
		w.ok(err)
	}},
	{"keywords come to an end", testKeywordLimit},
	{"many keywords", testManyKeywords},
	{"expunged messages are gone and their UIDs stay used", testExpunge},
	{"copy keeps content, flags and date", testCopy},
	{"copy of a message that is gone copies nothing", testCopyGone},
	{"copy within one mailbox", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a", "b")
		got, err := m.Copy(w.ctx, []storage.UID{2, 1}, m)
		w.ok(err)
		if !slices.Equal(got, []storage.UID{3, 4}) {
			t.Errorf("new UIDs %d", got)
		}
		w.subjects(m, "a", "b", "b", "a")
	}},
	{"move to and fro gives new UIDs each time", testMove},
	{"copy to another account", func(t *testing.T, w *world) {
		m := w.open("INBOX")
		w.fill(m, "a")
		other := w.openIn(w.login(Bob()), "INBOX")
		_, err := m.Copy(w.ctx, []storage.UID{1}, other)
		w.ok(err)
		w.subjects(other, "a")
		Check(t, other)
	}},
	{"many deliver and read at once", testConcurrent},
	{"a mailbox that is opened again is the same", testReopen},
}

func testRoundTrip(t *testing.T, w *world) {
	contents := []string{
		Text("plain"),
		"",
		"no line end",
		"A: b\r\n\r\nlone \r CR and \r\r\n two before LF\r\r\r\n",
		"A: b\r\n\r\nends in CR\r",
		"A: b\r\n\r\n" + strings.Repeat("long line ", 20000) + "\r\n" + strings.Repeat("x\r\n", 40000),
		"A: \x00\xff\r\n\r\n\r\n\r\n",
	}
	appended, delivered := w.open("INBOX"), w.create("Delivered")
	for _, c := range contents {
		_, err := appended.Append(w.ctx, storage.Draft{Content: strings.NewReader(c)})
		w.ok(err)
		w.ok(delivered.Deliver(w.ctx, storage.Draft{Content: inPieces(c)}))
	}
	for _, m := range []storage.Mailbox{appended, delivered} {
		for i, msg := range Check(t, m).Messages {
			if got := Read(t, m, msg.UID); got != contents[i] {
				t.Errorf("%s, UID %d: read %.60q (%d), want %.60q (%d)", m.Name(), msg.UID, got, len(got), contents[i], len(contents[i]))
			}
		}
	}
}

// inPieces gives short contents in pieces that cut CRLF in two.
func inPieces(s string) io.Reader {
	if len(s) > 1000 {
		return strings.NewReader(s)
	}
	return &oneByte{strings.NewReader(s)}
}

type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return o.r.Read(p[:1])
}

var errClient = errors.New("client went away")

type failing struct{ r io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errClient
	}
	return n, err
}

func testFailingContent(t *testing.T, w *world) {
	m := w.open("INBOX")
	d := storage.Draft{Content: failing{strings.NewReader("half a message")}}
	w.want(m.Deliver(w.ctx, d), errClient)
	_, err := m.Append(w.ctx, storage.Draft{Content: failing{strings.NewReader("half")}})
	w.want(err, errClient)
	if v := w.view(m); len(v.Messages) != 0 {
		t.Errorf("%d messages", len(v.Messages))
	}
}

func testAppend(t *testing.T, w *world) {
	m := w.open("INBOX")
	d := Draft("a")
	d.Flags, d.Keywords, d.InternalDate = storage.Seen|storage.Drafted, []string{"$Label1", "work"}, date()
	uid, err := m.Append(w.ctx, d)
	w.ok(err)
	msg := w.message(m, uid)
	if msg.Flags != storage.Seen|storage.Drafted {
		t.Errorf("flags %b", msg.Flags)
	}
	if got := w.view(m).KeywordNames(msg.Keywords); !slices.Equal(got, []string{"$Label1", "work"}) {
		t.Errorf("keywords %q", got)
	}
	info, err := m.Info(w.ctx, uid)
	w.ok(err)
	if !info.InternalDate.Equal(date()) || info.SaveDate.IsZero() {
		t.Errorf("info %+v", info)
	}
}

func testAppendAll(t *testing.T, w *world) {
	m := w.open("INBOX")
	last := Draft("b")
	last.Flags, last.Keywords, last.InternalDate = storage.Seen, []string{"work"}, date()
	uids, err := m.AppendAll(w.ctx, slices.Values([]storage.Draft{Draft("a"), last, Draft("c")}))
	w.ok(err)
	if want := []storage.UID{1, 2, 3}; !slices.Equal(uids, want) {
		t.Errorf("UIDs %d, want %d", uids, want)
	}
	if got, want := Subjects(t, m), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("subjects %q, want %q", got, want)
	}
	msg := w.message(m, 2)
	if got := w.view(m).KeywordNames(msg.Keywords); msg.Flags != storage.Seen || !slices.Equal(got, []string{"work"}) {
		t.Errorf("flags %b, keywords %q", msg.Flags, got)
	}
	info, err := m.Info(w.ctx, 2)
	w.ok(err)
	if !info.InternalDate.Equal(date()) {
		t.Errorf("INTERNALDATE %v", info.InternalDate)
	}
	one, err := m.AppendAll(w.ctx, slices.Values([]storage.Draft{Draft("d")}))
	w.ok(err)
	none, err := m.AppendAll(w.ctx, slices.Values([]storage.Draft(nil)))
	w.ok(err)
	if len(one) != 1 || one[0] != 4 || len(none) != 0 {
		t.Errorf("UIDs of one %d, of none %d", one, none)
	}
}

func testAppendAllFails(t *testing.T, w *world) {
	m := w.open("INBOX")
	asked := 0
	_, err := m.AppendAll(w.ctx, func(yield func(storage.Draft) bool) {
		for _, d := range []storage.Draft{Draft("a"), {Content: failing{strings.NewReader("half")}}, Draft("c")} {
			if asked++; !yield(d) {
				return
			}
		}
	})
	w.want(err, errClient)
	if v := w.view(m); len(v.Messages) != 0 || asked != 2 {
		t.Errorf("%d messages, %d asked for", len(v.Messages), asked)
	}
}

func testChanged(t *testing.T, w *world) {
	m, same := w.open("INBOX"), w.open("INBOX")
	v := w.view(m)
	changed := same.Changed(v)
	select {
	case <-changed:
		t.Fatal("closed before anything changed")
	default:
	}
	w.ok(m.Deliver(w.ctx, Draft("a")))
	<-changed
	<-same.Changed(v) // still older than what is known
	late := make(chan struct{}, 1)
	same.Watch(v, func() { late <- struct{}{} })()
	<-late
	now := w.view(same)
	if len(now.Messages) != 1 {
		t.Fatalf("%d messages", len(now.Messages))
	}
	woken := make(chan struct{}, 1)
	same.Watch(now, func() { t.Error("woken after the end of the watch") })()
	stop := same.Watch(now, func() { woken <- struct{}{} })
	defer stop()
	<-same.Changed(v)
	changed = same.Changed(now)
	_, err := m.SetFlags(w.ctx, []storage.UID{1}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
	w.ok(err)
	<-changed
	<-woken
}

func testRecent(t *testing.T, w *world) {
	m, other := w.open("INBOX"), w.open("INBOX")
	w.ok(m.Deliver(w.ctx, Draft("a")))
	w.ok(m.Deliver(w.ctx, Draft("b")))
	v := w.view(m)
	got, err := m.ClaimRecent(w.ctx, v)
	w.ok(err)
	if !slices.Equal(got, []storage.UID{1, 2}) {
		t.Errorf("first session: %d", got)
	}
	got, err = other.ClaimRecent(w.ctx, v)
	w.ok(err)
	if len(got) != 0 {
		t.Errorf("second session: %d", got)
	}
}

func testFlags(t *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a")
	for _, step := range []struct {
		edit     storage.FlagEdit
		flags    storage.SystemFlag
		keywords []string
	}{
		{storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen, Keywords: []string{"one", "two"}}, storage.Seen, []string{"one", "two"}},
		{storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Flagged, Keywords: []string{"ONE"}}, storage.Seen | storage.Flagged, []string{"one", "two"}},
		{storage.FlagEdit{Op: storage.RemoveFlags, Flags: storage.Seen, Keywords: []string{"one", "never"}}, storage.Flagged, []string{"two"}},
		{storage.FlagEdit{Op: storage.ReplaceFlags, Flags: storage.Answered, Keywords: []string{"three"}}, storage.Answered, []string{"three"}},
		{storage.FlagEdit{Op: storage.ReplaceFlags}, 0, nil},
	} {
		before := w.view(m)
		conflicts, err := m.SetFlags(w.ctx, []storage.UID{1}, step.edit, 0)
		w.ok(err)
		now := w.view(m)
		msg := now.Messages[0]
		if len(conflicts) != 0 || msg.Flags != step.flags || !slices.Equal(now.KeywordNames(msg.Keywords), step.keywords) {
			t.Errorf("%+v: flags %b, keywords %q, conflicts %d", step.edit, msg.Flags, now.KeywordNames(msg.Keywords), conflicts)
		}
		if changes := storage.Diff(before, now); msg.ModSeq <= before.Messages[0].ModSeq && len(changes) > 0 {
			t.Errorf("%+v: MODSEQ did not rise", step.edit)
		}
	}
}

func testUnchangedSince(t *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a", "b")
	seen := storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}
	since := w.view(m).HighestModSeq
	_, err := m.SetFlags(w.ctx, []storage.UID{2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Flagged}, 0)
	w.ok(err)
	conflicts, err := m.SetFlags(w.ctx, []storage.UID{1, 2}, seen, since)
	w.ok(err)
	if !slices.Equal(conflicts, []storage.UID{2}) {
		t.Errorf("conflicts %d", conflicts)
	}
	if a, b := w.message(m, 1), w.message(m, 2); a.Flags != storage.Seen || b.Flags != storage.Flagged {
		t.Errorf("flags %b and %b", a.Flags, b.Flags)
	}
}

func testKeywordLimit(t *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a")
	for i := range 600 {
		before := w.view(m)
		_, err := m.SetFlags(w.ctx, []storage.UID{1}, storage.FlagEdit{Op: storage.AddFlags, Keywords: []string{fmt.Sprint("kw", i)}}, 0)
		if before.MoreKeywords {
			w.ok(err)
			continue
		}
		w.want(err, storage.ErrKeywordLimit)
		d := Draft("b")
		d.Keywords = []string{"another"}
		_, err = m.Append(w.ctx, d)
		w.want(err, storage.ErrKeywordLimit)
		w.subjects(m, "a")
		if names := w.view(m).KeywordNames(w.message(m, 1).Keywords); len(names) < 500 {
			t.Errorf("no more than %d keywords", len(names))
		}
		return
	}
	t.Error("no limit up to 600")
}

// testManyKeywords holds that a keyword is a keyword, however many there were
// before.
func testManyKeywords(t *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a", "b", "c")
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprint("kw", i))
	}
	set := func(uid storage.UID, op storage.FlagOp, names ...string) {
		t.Helper()
		_, err := m.SetFlags(w.ctx, []storage.UID{uid}, storage.FlagEdit{Op: op, Keywords: names}, 0)
		w.ok(err)
	}
	words := func(m storage.Mailbox, uid storage.UID, want ...string) {
		t.Helper()
		got := w.view(m).KeywordNames(w.message(m, uid).Keywords)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s UID %d has %d keywords %q, want %q", m.Name(), uid, len(got), got, want)
		}
	}
	set(1, storage.AddFlags, all...)
	words(m, 1, slices.Clone(all)...)
	before := w.view(m)
	set(2, storage.ReplaceFlags, "KW299", "kw3")
	words(m, 2, "kw299", "kw3")
	if changes := storage.Diff(before, w.view(m)); len(changes) != 1 || changes[0].UID != 2 || changes[0].Kind != storage.Flags {
		t.Errorf("changes %+v", changes)
	}
	now := w.view(m)
	set(2, storage.AddFlags, "kw299")
	if w.view(m).HighestModSeq != now.HighestModSeq {
		t.Error("a keyword that was there is a change")
	}
	set(2, storage.RemoveFlags, "kw3", "kw150", "nobody")
	if slices.Contains(w.view(m).Keywords, "nobody") {
		t.Error("a keyword was made to be taken away")
	}
	words(m, 2, "kw299")
	set(2, storage.AddFlags, "kw200")
	set(2, storage.RemoveFlags, "kw299")
	words(m, 2, "kw200")

	d := Draft("d")
	d.Flags, d.Keywords = storage.Seen, []string{"kw1", "kw250", "new"}
	_, err := m.Append(w.ctx, d)
	w.ok(err)
	words(m, 4, "kw1", "kw250", "new")
	d = Draft("e")
	d.Keywords = []string{"kw299", "newer"}
	w.ok(m.Deliver(w.ctx, d))
	words(m, 5, "kw299", "newer")

	w.ok(w.account.Create(w.ctx, "Other"))
	other := w.open("Other")
	_, err = m.Copy(w.ctx, []storage.UID{1, 3, 4}, other)
	w.ok(err)
	words(other, 1, slices.Clone(all)...)
	words(other, 2)
	words(other, 3, "kw1", "kw250", "new")
	_, err = m.Move(w.ctx, []storage.UID{1}, other)
	w.ok(err)
	words(other, 4, slices.Clone(all)...)
	back, err := other.Move(w.ctx, []storage.UID{4, 1}, m)
	w.ok(err)
	words(m, back[0], slices.Clone(all)...)
	set(back[1], storage.ReplaceFlags)
	words(m, back[1])
	words(m, back[0], slices.Clone(all)...)
	if err := w.view(m).Check(); err != nil {
		t.Error(err)
	}
}

func testExpunge(t *testing.T, w *world) {
	m := w.open("INBOX")
	w.fill(m, "a", "b", "c")
	before := w.view(m)
	w.ok(m.Expunge(w.ctx, []storage.UID{3, 1, 77}))
	w.subjects(m, "b")
	now := w.view(m)
	if now.UIDNext != 4 || now.HighestModSeq <= before.HighestModSeq {
		t.Errorf("UIDNEXT %d, HIGHESTMODSEQ %d after %d", now.UIDNext, now.HighestModSeq, before.HighestModSeq)
	}
	_, err := m.Info(w.ctx, 3)
	w.want(err, storage.ErrExpunged)
	_, err = m.Content(w.ctx, 3)
	w.want(err, storage.ErrExpunged)
	_, _, err = Digest(w.ctx, m, 3)
	w.want(err, storage.ErrExpunged)
	if got := w.fill(m, "d"); got[0] != 4 {
		t.Errorf("next UID %d", got[0])
	}
	w.ok(m.Expunge(w.ctx, nil))
}

func testCopy(t *testing.T, w *world) {
	m, to := w.open("INBOX"), w.create("Archive")
	w.fill(to, "already there")
	d := Draft("a")
	d.Flags, d.Keywords, d.InternalDate = storage.Flagged, []string{"only-here"}, date()
	_, err := m.Append(w.ctx, d)
	w.ok(err)
	w.fill(m, "b")
	got, err := m.Copy(w.ctx, []storage.UID{2, 1}, to)
	w.ok(err)
	if !slices.Equal(got, []storage.UID{2, 3}) {
		t.Errorf("new UIDs %d", got)
	}
	w.subjects(to, "already there", "b", "a")
	w.subjects(m, "a", "b")
	msg := w.message(to, 3)
	if msg.Flags != storage.Flagged || !slices.Equal(w.view(to).KeywordNames(msg.Keywords), []string{"only-here"}) {
		t.Errorf("copy has %+v", msg)
	}
	info, err := to.Info(w.ctx, 3)
	w.ok(err)
	if !info.InternalDate.Equal(date()) {
		t.Errorf("date %v", info.InternalDate)
	}
}

func testCopyGone(t *testing.T, w *world) {
	m, to := w.open("INBOX"), w.create("Archive")
	w.fill(m, "a", "b")
	w.ok(m.Expunge(w.ctx, []storage.UID{2}))
	_, err := m.Copy(w.ctx, []storage.UID{1, 2}, to)
	w.want(err, storage.ErrExpunged)
	w.subjects(to)
	_, err = m.Move(w.ctx, []storage.UID{1, 2}, to)
	w.want(err, storage.ErrExpunged)
	w.subjects(to)
	w.subjects(m, "a")
}

func testMove(t *testing.T, w *world) {
	m, to := w.open("INBOX"), w.create("Archive")
	w.fill(m, "a", "b")
	got, err := m.Move(w.ctx, []storage.UID{1}, to)
	w.ok(err)
	w.subjects(m, "b")
	w.subjects(to, "a")
	got, err = to.Move(w.ctx, got, m)
	w.ok(err)
	if !slices.Equal(got, []storage.UID{3}) {
		t.Errorf("came back as %d", got)
	}
	got, err = m.Move(w.ctx, got, to)
	w.ok(err)
	if !slices.Equal(got, []storage.UID{2}) {
		t.Errorf("went again as %d", got)
	}
	w.subjects(m, "b")
	w.subjects(to, "a")
}

func testConcurrent(t *testing.T, w *world) {
	const writers, each = 6, 8
	m := w.open("INBOX")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				err := m.Deliver(w.ctx, Draft(fmt.Sprint(i, "-", j)))
				if j%2 == 1 {
					_, err = m.Append(w.ctx, Draft(fmt.Sprint(i, "+", j)))
				}
				if err != nil {
					t.Error(err)
				}
				if _, err := m.View(w.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := len(Check(t, m).Messages), writers*each*3/2; got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
}

func testReopen(t *testing.T, w *world) {
	m, err := w.account.Open(w.ctx, "INBOX")
	w.ok(err)
	w.fill(m, "a", "b")
	w.ok(m.Expunge(w.ctx, []storage.UID{1}))
	_, err = m.SetFlags(w.ctx, []storage.UID{2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen, Keywords: []string{"kept"}}, 0)
	w.ok(err)
	before := w.view(m)
	w.ok(m.Close())
	again := w.open("INBOX")
	now := w.view(again)
	if now.UIDValidity != before.UIDValidity || now.UIDNext != before.UIDNext || now.HighestModSeq < before.HighestModSeq {
		t.Errorf("now %+v, before %+v", now, before)
	}
	msg := w.message(again, 2)
	if msg.Flags != storage.Seen || !slices.Equal(now.KeywordNames(msg.Keywords), []string{"kept"}) {
		t.Errorf("message %+v", msg)
	}
}
