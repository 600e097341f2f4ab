package greylist

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
)

// world is a list on a disk in memory, and the clock.
type world struct {
	t    *testing.T
	disk *crashfs.FS
	now  time.Time
	list *List
}

func newWorld(t *testing.T, entries int) *world {
	w := &world{t: t, disk: crashfs.New(), now: time.Unix(1_800_000_000, 0)}
	w.open(entries)
	return w
}

func (w *world) open(entries int) {
	w.t.Helper()
	var err error
	w.list, err = Open(Config{FS: w.disk, Name: "greylist", Entries: entries, Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) check(client, from, to string) time.Duration {
	w.t.Helper()
	var path mail.ReversePath
	if from != "" {
		path.Address = mail.Address{Local: from, Domain: "far.test"}
	}
	wait, err := w.list.Check(netip.MustParseAddr(client), path, mail.Address{Local: to, Domain: "example.org"}, 5*time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	return wait
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, step := range []struct {
		rule             string
		after            time.Duration // since the step before
		client, from, to string
		want             time.Duration
	}{
		{"a stranger is put off", 0, "192.0.2.1", "a", "bob", 5 * time.Minute},
		{"again at once", time.Second, "192.0.2.1", "a", "bob", 299 * time.Second},
		{"another recipient is another", 0, "192.0.2.1", "a", "carol", 5 * time.Minute},
		{"another sender too", 0, "192.0.2.1", "", "bob", 5 * time.Minute},
		{"after the delay", 299 * time.Second, "192.0.2.1", "A", "BOB", 0},
		{"and from then on", 30 * 24 * time.Hour, "192.0.2.1", "a", "bob", 0},
		{"which is renewed", 30 * 24 * time.Hour, "192.0.2.1", "a", "bob", 0},
		{"and ends", 37 * 24 * time.Hour, "192.0.2.1", "a", "bob", 5 * time.Minute},
		{"who comes again too late is new", 49 * time.Hour, "192.0.2.1", "a", "bob", 5 * time.Minute},
		{"an IPv6 network", 0, "2001:db8::1", "a", "bob", 5 * time.Minute},
		{"is one client", 5 * time.Minute, "2001:db8::2", "a", "bob", 0},
		{"a clock that was set back", -24 * time.Hour, "192.0.2.1", "a", "bob", 5 * time.Minute},
		{"which shuts out nobody who was let in", 0, "2001:db8::2", "a", "bob", 0},
	} {
		w.now = w.now.Add(step.after)
		if got := w.check(step.client, step.from, step.to); got != step.want {
			t.Errorf("%s: %v, want %v", step.rule, got, step.want)
		}
	}
}

// TestFile holds that a list that was closed knows all, one that crashed what
// was written a minute ago, and that a damaged file is no failure.
func TestFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.check("192.0.2.1", "a", "bob")
	if err := w.list.Close(); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.open(0)
	if got := w.check("192.0.2.1", "a", "bob"); got != 0 {
		t.Errorf("after a restart: %v", got)
	}
	w.check("192.0.2.1", "new", "bob") // and written, since a minute has passed
	w.now = w.now.Add(2 * time.Minute)
	w.check("192.0.2.2", "x", "bob")
	w.now = w.now.Add(time.Second)
	w.check("192.0.2.1", "lost", "bob")
	w.disk = w.disk.Crash(crashfs.Nothing)
	w.now = w.now.Add(10 * time.Minute)
	w.open(0)
	if got := w.check("192.0.2.1", "new", "bob"); got != 0 {
		t.Errorf("written before the crash: %v", got)
	}
	if got := w.check("192.0.2.1", "lost", "bob"); got != 5*time.Minute {
		t.Errorf("not written before the crash: %v", got)
	}
	for _, text := range []string{"", "something", header + "short 1 2\n", header + "0123456789abcdef0123456789abcdef -1 2\n"} {
		if err := durable.WriteFile(w.disk, "greylist", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{FS: w.disk, Name: "greylist"})
		if !errors.Is(err, ErrDamaged) || l == nil {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
}

// TestFull holds that the list is bounded, that those who were let in stay
// longest, and that many may ask at once.
func TestFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	w.check("192.0.2.1", "good", "bob")
	w.now = w.now.Add(6 * time.Minute)
	if w.check("192.0.2.1", "good", "bob") != 0 {
		t.Fatal("not let in")
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 500 {
				w.check("192.0.2.9", fmt.Sprintf("spam%d.%d", i, k), "bob")
			}
		})
	}
	all.Wait()
	if n := len(w.list.entries); n > 100 {
		t.Errorf("%d entries", n)
	}
	if got := w.check("192.0.2.1", "good", "bob"); got != 0 {
		t.Errorf("the good one was forgotten: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(header + "0123456789abcdef0123456789abcdef 1 2\n")
	f.Add("gomaild-greylist 2\n")
	f.Add(header + "00000000000000000000000000000000 1 2\n11111111111111111111111111111111 1 2\n22222222222222222222222222222222 1 2\n33333333333333333333333333333333 1 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, _ := parse(text, 3)
		if entries == nil || len(entries) > 3 {
			t.Errorf("%q: %d entries", text, len(entries))
		}
	})
}
