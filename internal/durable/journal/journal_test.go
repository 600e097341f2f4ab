package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
)

// TestFaults lets each operation of a delivery and a checkpoint fail once: what
// was acknowledged survives a power cut at once and after a clean stop, and
// what comes later goes the direct way.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for n := int64(1); ; n++ {
			w := newWorld(t)
			start := w.disk.Operations()
			w.disk.Inject(crashfs.FailNth(n, fault))
			first := w.deliver("m", "1", 100)
			checkpoint := w.journal.Checkpoint()
			over := w.disk.Operations()-start < n
			w.disk.Inject(nil)
			second := w.deliver("m", "2", 100)
			if over && (first != nil || checkpoint != nil) || first != nil && !errors.Is(first, journal.ErrDirect) && !errors.Is(first, fault) {
				t.Errorf("operation %d, %v: delivery %v, checkpoint %v", n, fault, first, checkpoint)
			}
			if second != nil && !errors.Is(second, journal.ErrDirect) {
				t.Errorf("operation %d, %v: the next delivery: %v", n, fault, second)
			}
			if first != nil {
				delete(w.tried, "m 1")
				_ = w.disk.Remove("m/new/1") // in the direct way it would be made durable
			}
			if first == nil {
				for _, s := range crashfs.Survivals() {
					w.restart(t, fmt.Sprintf("operation %d, %v, %v", n, fault, s), w.disk.Crash(s))
				}
			}
			err := w.journal.Close()
			if open := w.disk.OpenFiles(); open != 0 {
				t.Errorf("operation %d, %v: closed with %v, %d files are open", n, fault, err, open)
			}
			if over || t.Failed() {
				break
			}
		}
	}
}

// TestBrokenForget holds that a journal which cannot write any more brings
// nothing back either.
func TestBrokenForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, base := range []string{"1", "2"} {
		if err := w.deliver("m", base, 100); err != nil {
			t.Fatal(err)
		}
	}
	w.disk.Inject(func(o crashfs.Op) error {
		if o.Kind == "syncdata" {
			return syscall.EIO
		}
		return nil
	})
	if err := w.remove("m", "1", "new/1"); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := w.deliver("m", "3", 100); !errors.Is(err, journal.ErrDirect) {
		t.Errorf("the next delivery: %v", err)
	}
	delete(w.tried, "m 3")
	release, err := w.journal.Quiesce("m")
	if err != nil {
		t.Fatalf("quiesce: %v", err)
	}
	release()
	for _, s := range crashfs.Survivals() {
		w.restart(t, s.String(), w.disk.Crash(s))
	}
	if err := w.journal.Close(); err != nil {
		t.Error(err)
	}
}

// TestDirect are the deliveries that the journal does not take.
func TestDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	never := func() error { t.Error("placed"); return nil }
	take := func(rule string, e journal.Entry) {
		t.Helper()
		if err := w.journal.Deliver(e, never); !errors.Is(err, journal.ErrDirect) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	take("too large", journal.Entry{Dir: "m", Name: "x", Content: make([]byte, w.journal.Limit()+1)})
	take("a name that leads out", journal.Entry{Dir: "m", Name: "../x"})
	take("a directory that leads out", journal.Entry{Dir: "../m", Name: "x"})
	take("no name", journal.Entry{Dir: "m"})
	take("a long name", journal.Entry{Dir: "m", Name: strings.Repeat("x", 5000)})
	release, err := w.journal.Quiesce("m")
	if err != nil {
		t.Fatal(err)
	}
	take("on the move", journal.Entry{Dir: "m", Name: "x"})
	take("below what is on the move", journal.Entry{Dir: "m/.f", Name: "x"})
	release()
	for n := 0; ; n++ {
		err := w.deliver("m", fmt.Sprint("full", n), 4000)
		if errors.Is(err, journal.ErrDirect) {
			if n < size/2/8192-1 {
				t.Errorf("full after %d deliveries", n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.journal.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := w.deliver("m", "after", 4000); err != nil {
		t.Errorf("after the checkpoint: %v", err)
	}
	if err := w.journal.Close(); err != nil {
		t.Fatal(err)
	}
	take("closed", journal.Entry{Dir: "m", Name: "x"})
	var none *journal.Journal
	if err := none.Deliver(journal.Entry{Dir: "m", Name: "x"}, never); !errors.Is(err, journal.ErrDirect) {
		t.Errorf("no journal: %v", err)
	}
}

// TestNotPlaced is a delivery whose rename fails: it was not acknowledged and
// does not come back.
func TestNotPlaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.journal.Deliver(journal.Entry{Dir: "m", Name: "x", UID: -1, GID: -1, Content: []byte("text")}, func() error { return syscall.ENOENT })
	if !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Deliver: %v", err)
	}
	w.restart(t, "power cut", w.disk.Crash(crashfs.Nothing)) // finds what nobody tried
	if err := w.journal.Close(); err != nil {
		t.Error(err)
	}
}

// TestShared holds that those who wait share the waits for the disk, and that
// all is well after a kill (nothing closed) and after a power cut.
func TestShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const deliveries = 12 // there is room for them one by one, too
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range deliveries {
		all.Go(func() {
			base, text := fmt.Sprint("n", i), strings.Repeat("x", i)
			err := w.journal.Deliver(journal.Entry{Dir: "m", Name: base, UID: -1, GID: -1, Content: []byte(text)},
				func() error { return durable.WriteFile(w.disk, "m/new/"+base, []byte(text), 0o600) })
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			w.texts["m "+base], w.tried["m "+base] = text, text
		})
	}
	all.Wait()
	w.restart(t, "power cut", w.disk.Crash(crashfs.Nothing))
	w.restart(t, "kill", w.disk.Crash(crashfs.Everything))
	if err := w.journal.Close(); err != nil {
		t.Error(err)
	}
}

// TestInterval holds that a delivery waits for its checkpoint no longer than
// the interval, and that an idle journal leaves the disk alone.
func TestInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.journal.Close(); err != nil {
			t.Fatal(err)
		}
		c := config(w.disk)
		c.Interval = time.Second
		var err error
		if w.journal, err = journal.Open(c); err != nil {
			t.Fatal(err)
		}
		if err := w.deliver("m", "1", 100); err != nil {
			t.Fatal(err)
		}
		if !w.journal.Lives("m", "1:2,S") {
			t.Error("durable in its place at once")
		}
		time.Sleep(time.Second + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if w.journal.Lives("m", "1") {
			t.Error("no checkpoint after the interval")
		}
		idle := w.disk.Operations()
		time.Sleep(time.Hour)
		if n := w.disk.Operations() - idle; n != 0 {
			t.Errorf("%d operations in an idle hour", n)
		}
		if err := w.journal.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecover replays without keeping a journal, once.
func TestRecover(t *testing.T) {
	t.Parallel()
	if err := journal.Recover(config(crashfs.New())); err != nil {
		t.Errorf("no journal: %v", err)
	}
	w := newWorld(t)
	if err := w.deliver("m", "1", 100); err != nil {
		t.Fatal(err)
	}
	after := w.disk.Crash(crashfs.Nothing)
	if err := journal.Recover(config(after)); err != nil {
		t.Fatal(err)
	}
	if data, err := durable.ReadFile(after, "m/new/1"); err != nil || string(data) != w.texts["m 1"] {
		t.Errorf("restored %q, %v", data, err)
	}
	if info, err := after.Stat("m/new/1"); err != nil || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("date: %v, %v", info, err)
	}
	if err := after.Remove("m/new/1"); err != nil { // by a program that knows no journal
		t.Fatal(err)
	}
	if err := journal.Recover(config(after)); err != nil {
		t.Fatal(err)
	}
	if _, err := after.Stat("m/new/1"); err == nil {
		t.Error("replayed twice")
	}
	if err := w.journal.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzOpen gives Open a journal file of somebody else's making: no panic,
// nothing outside of the Maildirs, and the journal works afterwards.
func FuzzOpen(f *testing.F) {
	w := &world{disk: crashfs.New(), texts: map[string]string{}, tried: map[string]string{}}
	if err := durable.MkdirAll(w.disk, "m/tmp", 0o700); err != nil {
		f.Fatal(err)
	}
	if err := w.disk.Mkdir("m/new", 0o700); err != nil {
		f.Fatal(err)
	}
	var err error
	if w.journal, err = journal.Open(config(w.disk)); err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := errors.Join(w.deliver("m", fmt.Sprint(i), 100*i), w.journal.Forget("m", "1")); err != nil {
			f.Fatal(err)
		}
	}
	for _, name := range []string{"j/j/a", "j/j/b"} {
		data, err := durable.ReadFile(w.disk, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(nil))
		f.Add(bytes.Repeat(data, 2), data)
		f.Add(data[:len(data)/2], data)
	}
	if err := w.journal.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		disk := crashfs.New()
		err := errors.Join(durable.MkdirAll(disk, "j/j", 0o700),
			durable.WriteFile(disk, "j/j/a", a, 0o600), durable.WriteFile(disk, "j/j/b", b, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(config(disk))
		if err != nil {
			return // names that cannot be made: the operator hears of it
		}
		if err := j.Deliver(journal.Entry{Dir: "m", Name: "later", UID: -1, GID: -1}, func() error { return nil }); err != nil {
			t.Errorf("deliver: %v", err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// TestForeignFile: what another program has put under the name of a message whose
// record lives is not touched by a replay; the message is put back beside it, once,
// however often the replay is begun.
func TestForeignFile(t *testing.T) {
	t.Parallel()
	const text = "Subject: ours\n\nwhat we acknowledged\n"
	for _, tt := range []struct {
		rule  string
		files map[string]string // by name below m/
		want  map[string]string
	}{
		{"of the same size", map[string]string{"new/1": strings.Repeat("x", len(text))}, map[string]string{"new/1": strings.Repeat("x", len(text)), "new/1.replayed": text}},
		{"shorter", map[string]string{"cur/1:2,S": "Subject: yours\n"}, map[string]string{"cur/1:2,S": "Subject: yours\n", "new/1.replayed": text}},
		{"longer, beginning as ours", map[string]string{"new/1": text + "-- \nchecked\n"}, map[string]string{"new/1": text + "-- \nchecked\n", "new/1.replayed": text}},
		{"beside ours", map[string]string{"new/1": text, "cur/1:2,S": "another"}, map[string]string{"new/1": text, "cur/1:2,S": "another"}},
		{"beside a torn one", map[string]string{"new/1": "", "cur/1:2,S": "another"}, map[string]string{"new/1": text, "cur/1:2,S": "another"}},
		{"torn: cut off", map[string]string{"new/1": text[:9]}, map[string]string{"new/1": text}},
		{"torn: zeros", map[string]string{"new/1": text[:9] + strings.Repeat("\x00", len(text)-9)}, map[string]string{"new/1": text}},
		{"torn: a hole", map[string]string{"cur/1:2,S": strings.Repeat("\x00", 9) + text[9:]}, map[string]string{"cur/1:2,S": text}},
		{"two torn ones", map[string]string{"new/1": "", "cur/1:2,S": text[:3]}, map[string]string{"cur/1:2,S": text}},
	} {
		w := newWorld(t)
		entry := journal.Entry{Dir: "m", Name: "1", ModTime: time.Unix(1e9, 0), UID: -1, GID: -1, Content: []byte(text)}
		if err := w.journal.Deliver(entry, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		for name, data := range tt.files {
			if err := durable.WriteFile(w.disk, "m/"+name, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for cut, whole := int64(0), false; !whole && !t.Failed(); cut++ {
			disk := w.disk.Crash(crashfs.Everything)
			disk.CutAfter(cut)
			_, err := journal.Open(config(disk))
			disk.CutAfter(-1)
			if whole = err == nil; !whole {
				disk = disk.Crash(crashfs.Everything)
				if _, err := journal.Open(config(disk)); err != nil {
					t.Fatal(err)
				}
			}
			if got := contents(t, disk, "m/new", "m/cur"); !maps.Equal(got, tt.want) {
				t.Errorf("%s, cut after %d: %q, want %q", tt.rule, cut, got, tt.want)
			}
		}
	}
}

// contents are those of all files in directories, by their names below m/.
func contents(t *testing.T, disk *crashfs.FS, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		names, err := disk.ReadDirNames(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := durable.ReadFile(disk, path.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(path.Join(dir, name), "m/")] = string(data)
		}
	}
	return all
}
