package queue

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
)

// later is an agent's answer that puts everybody off.
func later(context.Context, Job, mail.Recipient) error { return errors.New("away") }

// add is mustAdd with the ID.
func add(t *testing.T, q *Queue, hosts ...string) string {
	t.Helper()
	id, err := q.Add(toHosts(hosts...), content1("x"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func apply(t *testing.T, q *Queue, a Action, s Selection, want int) {
	t.Helper()
	if n, err := q.Apply(a, s); n != want || err != nil {
		t.Errorf("%s %+v: %d, %v, want %d", a, s, n, err, want)
	}
}

// listed is what List says: "ID attempts", with " held".
func listed(t *testing.T, fs durable.FS, s Selection) []string {
	t.Helper()
	var got []string
	for e, err := range List(fs, s) {
		if err != nil {
			t.Fatal(err)
		}
		line := e.ID + " " + strings.Repeat("|", e.To[0].Attempts)
		if e.Held {
			line += " held"
		}
		got = append(got, line)
	}
	return got
}

// A message that is held is not attempted, also not after a restart, and not
// given up; released it is attempted at once.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{answer: later}, crashfs.New()
		q := mustOpen(t, w, disk)
		held, other := add(t, q, "a.test", "b.test"), add(t, q, "a.test")
		synctest.Wait()
		apply(t, q, Hold, Selection{IDs: []string{held}}, 1)
		time.Sleep(10 * time.Minute)
		if got, want := listed(t, disk, Selection{}), []string{held + " | held", other + " ||"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		q.Close()
		q = mustOpen(t, w, disk)
		time.Sleep(2 * time.Hour) // Lifetime is one
		apply(t, q, Retry, Selection{}, 1)
		synctest.Wait()
		if got, want := listed(t, disk, Selection{}), []string{held + " | held"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		w.answer = nil
		apply(t, q, Release, Selection{}, 1)
		synctest.Wait()
		slices.Sort(w.got)
		if want := []string{"u@a.test x", "u@b.test x"}; !slices.Equal(w.got, want) || len(names(t, disk)) != 0 {
			t.Errorf("delivered %q, left %q", w.got, names(t, disk))
		}
		if len(q.entries) != 0 || len(q.sched.lines) != 0 || len(q.waiting) != 0 {
			t.Errorf("in memory: %d entries, %d lines, %d legs", len(q.entries), len(q.sched.lines), len(q.waiting))
		}
		q.Close()
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{answer: later}, crashfs.New()
		q := mustOpen(t, w, disk)
		a, b := add(t, q, "a.test"), add(t, q, "b.test")
		synctest.Wait()
		apply(t, q, Retry, Selection{Destination: "B.test"}, 1)
		synctest.Wait()
		if got, want := listed(t, disk, Selection{}), []string{a + " |", b + " ||"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		w.answer = nil
		apply(t, q, Retry, Selection{}, 2)
		synctest.Wait()
		if len(w.got) != 2 || len(names(t, disk)) != 0 {
			t.Errorf("delivered %q, left %q", w.got, names(t, disk))
		}
		q.Close()
	})
}

// A deletion is at once, also while an attempt is under way, and tells nobody.
func TestDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{}, crashfs.New()
		w.answer = func(ctx context.Context, _ Job, to mail.Recipient) error {
			if to.Address.Domain == "slow.test" {
				time.Sleep(time.Minute)
			}
			return errors.New("away")
		}
		q := mustOpen(t, w, disk)
		add(t, q, "slow.test")
		add(t, q, "a.test")
		time.Sleep(time.Second)
		apply(t, q, Delete, Selection{From: "s@x.test"}, 2)
		if n := names(t, disk); len(n) != 0 {
			t.Errorf("left %q", n)
		}
		time.Sleep(2 * time.Hour)
		if len(w.told) != 0 || len(names(t, disk)) != 0 || len(q.entries) != 0 || len(q.waiting) != 0 {
			t.Errorf("told %q, left %q, %d entries, %d legs", w.told, names(t, disk), len(q.entries), len(q.waiting))
		}
		q.Close()
	})
}

func TestSelection(t *testing.T) {
	t.Parallel()
	e := toHosts("a.test", "B.test")
	e.ID, e.Arrived = "7-x", time.Unix(1000, 0)
	null := e
	null.From = mail.ReversePath{}
	null.Account = mail.Address{Local: "a", Domain: "x.test"}
	for _, tt := range []struct {
		s    Selection
		e    *Envelope
		want bool
	}{
		{Selection{}, &e, true},
		{Selection{IDs: []string{"7-y", "7-x"}}, &e, true},
		{Selection{IDs: []string{"7-y"}}, &e, false},
		{Selection{From: "S@x.test"}, &e, true},
		{Selection{From: "@X.test"}, &e, true},
		{Selection{From: "x.test"}, &e, false},
		{Selection{From: "<>"}, &e, false},
		{Selection{From: "<>"}, &null, true},
		{Selection{Account: "A@x.test"}, &null, true},
		{Selection{Account: "b@x.test"}, &null, false},
		{Selection{Account: "s@x.test"}, &e, false},
		{Selection{Account: "<>"}, &e, false},
		{Selection{To: "u@b.test"}, &e, true},
		{Selection{To: "@c.test"}, &e, false},
		{Selection{Destination: "b.test"}, &e, true},
		{Selection{Destination: "test"}, &e, false},
		{Selection{Age: time.Minute}, &e, true},
		{Selection{Age: time.Minute + 1}, &e, false},
		{Selection{From: "s@x.test", Age: time.Hour}, &e, false},
	} {
		if got := tt.s.fits(tt.e, time.Unix(1060, 0)); got != tt.want {
			t.Errorf("%+v: %v", tt.s, got)
		}
	}
}

// Without a Queue the directory itself is changed, and the next Queue sees it.
func TestApplyOffline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{answer: later}, crashfs.New()
		q := mustOpen(t, w, disk)
		a, b, c := add(t, q, "a.test"), add(t, q, "b.test"), add(t, q, "c.test")
		synctest.Wait()
		q.Close()
		w.answer = nil
		for _, tt := range []struct {
			a    Action
			id   string
			want int
		}{{Retry, a, 1}, {Hold, b, 1}, {Delete, c, 1}, {Delete, "../x", 0}, {Hold, "7-none", 0}} {
			if n, err := Apply(disk, tt.a, Selection{IDs: []string{tt.id}}); n != tt.want || err != nil {
				t.Errorf("%s %s: %d, %v", tt.a, tt.id, n, err)
			}
		}
		if _, err := Apply(disk, "eat", Selection{}); !errors.Is(err, ErrAction) {
			t.Error(err)
		}
		q = mustOpen(t, w, disk)
		synctest.Wait()
		q.Close()
		if want := []string{b + " | held"}; !slices.Equal(w.got, []string{"u@a.test x"}) || !slices.Equal(listed(t, disk, Selection{}), want) {
			t.Errorf("delivered %q, left %q", w.got, listed(t, disk, Selection{}))
		}
	})
}

// A damaged message is listed as such, and goes only when it is named.
func TestManageDamage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{answer: later}, crashfs.New()
		q := mustOpen(t, w, disk)
		id := add(t, q, "a.test")
		synctest.Wait()
		e, c, err := Read(disk, id)
		if err != nil || e.ID != id {
			t.Fatal(e, err)
		}
		if text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); string(text) != "x" || err != nil || c.Close() != nil {
			t.Errorf("%q, %v", text, err)
		}
		q.Close()
		if err := durable.WriteFile(disk, id+envelopeSuffix, []byte("other"), filePerm); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(disk, id); !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		n := 0
		for _, err := range List(disk, Selection{}) {
			if n++; !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
		}
		q = mustOpen(t, w, disk)
		apply(t, q, Delete, Selection{}, 0)
		if left := len(names(t, disk)); n != 1 || left != 2 {
			t.Errorf("%d listed, %d left", n, left)
		}
		apply(t, q, Delete, Selection{IDs: []string{id}}, 1)
		if left := names(t, disk); len(left) != 0 {
			t.Errorf("left %q", left)
		}
		q.Close()
	})
}

// The power is cut after each operation of a hold and a deletion: the message is
// as it was or as it was to be.
func TestApplyPowerCut(t *testing.T) {
	t.Parallel()
	for _, a := range []Action{Hold, Delete} {
		for _, survival := range crashfs.Survivals() {
			for n := int64(0); ; n++ {
				disk := crashfs.New()
				e := toHosts("a.test")
				e.ID = "7-x"
				if err := (spool{disk}).add(&e, content1("whole")); err != nil {
					t.Fatal(err)
				}
				start := disk.Operations()
				disk.CutAfter(n)
				_, err := Apply(disk, a, Selection{})
				cut := disk.Operations() > start+n
				next := disk.Crash(survival)
				got := listed(t, next, Selection{})
				done := len(got) == 0
				if a == Hold {
					done = slices.Equal(got, []string{"7-x  held"})
				}
				if !done && (err == nil || !slices.Equal(got, []string{"7-x "})) {
					t.Errorf("%s, %v after %d: %v, %q", a, survival, n, err, got)
				}
				if !cut {
					break
				}
			}
		}
	}
}
