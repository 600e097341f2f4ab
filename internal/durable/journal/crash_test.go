package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
)

// The power is cut after every single operation of deliveries, checkpoints,
// turns of the two files and removals, and again after every operation of the
// replay. Then every message that was acknowledged is there once and whole, and
// none that was removed.

// world is Maildirs with a journal, and what their users were told.
type world struct {
	disk    *crashfs.FS
	journal *journal.Journal
	texts   map[string]string // of what was acknowledged, by "dir base"
	tried   map[string]string // of what was begun
	removed map[string]bool   // durably
	going   map[string]bool   // being removed: may be there or not
}

const size = 128 << 10 // of the journal: Limit is 8 KiB

func config(disk durable.FS) journal.Config {
	return journal.Config{FS: disk, Dir: "j/j", Size: size, Interval: -1}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	disk := crashfs.New()
	for _, d := range []string{"m/new", "m/cur", "m/tmp", "m/.f/new", "m/.f/cur", "m/.f/tmp"} {
		if err := durable.MkdirAll(disk, d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	j, err := journal.Open(config(disk))
	if err != nil {
		t.Fatal(err)
	}
	return &world{disk: disk, journal: j, texts: map[string]string{}, tried: map[string]string{}, removed: map[string]bool{}, going: map[string]bool{}}
}

// deliver is what storage/maildir does.
func (w *world) deliver(dir, base string, octets int) error {
	text := strings.Repeat(base+" ", octets/(len(base)+1))
	w.tried[dir+" "+base] = text
	temp, final := path.Join(dir, "tmp", base), path.Join(dir, "new", base)
	f, err := w.disk.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = w.journal.Deliver(journal.Entry{Dir: dir, Name: base, ModTime: time.Unix(1e9, 0), UID: -1, GID: -1, Content: []byte(text)},
		func() error { return w.disk.Rename(temp, final) })
	if err == nil {
		w.texts[dir+" "+base] = text
	}
	return err
}

// flag is a change of flags, which nobody makes durable.
func (w *world) flag(dir, base string) error {
	return w.disk.Rename(path.Join(dir, "new", base), path.Join(dir, "cur", base+":2,S"))
}

func (w *world) remove(dir, base, name string) error {
	key := dir + " " + base
	w.going[key] = true
	delete(w.texts, key)
	if err := w.journal.Forget(dir, base+":2,S"); err != nil {
		return err
	}
	if err := w.disk.Remove(path.Join(dir, name)); err != nil {
		return err
	}
	if err := w.disk.SyncDir(path.Join(dir, path.Dir(name))); err != nil {
		return err
	}
	w.removed[key] = true
	return nil
}

// life is everything that happens to messages, in several turns of the files.
func (w *world) life() error {
	for _, step := range []func() error{
		func() error { return w.deliver("m", "1", 100) },
		func() error { return w.deliver("m", "2", 5000) },
		func() error { return w.deliver("m/.f", "3", 4096-120) },
		func() error { return w.flag("m", "2") },
		func() error { return w.remove("m", "1", "new/1") },
		w.journal.Checkpoint,
		func() error { return w.deliver("m", "4", 0) },
		func() error { return w.remove("m", "2", "cur/2:2,S") }, // its record is dead
		func() error { return w.deliver("m", "5", 300) },
		func() error { return w.flag("m", "5") },
		func() error { return w.remove("m", "5", "cur/5:2,S") },
		w.journal.Checkpoint,
		func() error { return w.deliver("m", "6", 100) },
		func() error { return w.deliver("m", "7", 100) },
		func() error { return w.remove("m", "7", "new/7") },
		w.move,
		w.journal.Checkpoint,
		func() error { return w.deliver("m", "8", 100) },
		w.journal.Close,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// move renames a folder.
func (w *world) move() error {
	release, err := w.journal.Quiesce("m/.f")
	if err != nil {
		return err
	}
	defer release()
	if err := w.disk.Rename("m/.f", "m/.g"); err != nil {
		return err
	}
	if err := w.disk.SyncDir("m"); err != nil {
		return err
	}
	w.texts["m/.g 3"] = w.texts["m/.f 3"]
	delete(w.texts, "m/.f 3")
	w.removed["m/.f 3"] = true
	return nil
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	for cut := int64(0); !t.Failed(); cut++ {
		w := newWorld(t)
		w.disk.CutAfter(cut)
		err := w.life()
		if err != nil && !errors.Is(err, crashfs.ErrPowerCut) && !(errors.Is(err, journal.ErrDirect) && w.isOff()) {
			t.Fatalf("cut after %d: %v", cut, err)
		}
		for _, s := range crashfs.Survivals() {
			w.restart(t, fmt.Sprintf("cut after %d, %v", cut, s), w.disk.Crash(s))
		}
		for seed := range uint64(4) {
			w.restart(t, fmt.Sprintf("cut after %d, seed %d", cut, seed), w.disk.CrashRandom(seed))
		}
		if err == nil {
			t.Logf("%d places to cut the power", cut)
			return
		}
	}
}

// restart cuts the power in the replay, too, wherever that can be.
func (w *world) restart(t *testing.T, what string, disk *crashfs.FS) {
	t.Helper()
	for cut := int64(0); !t.Failed(); cut++ {
		again := disk.Crash(crashfs.Everything)
		again.CutAfter(cut)
		j, err := journal.Open(config(again))
		again.CutAfter(-1)
		if err == nil {
			w.check(t, what, again, j)
			return
		}
		if !errors.Is(err, crashfs.ErrPowerCut) {
			t.Fatalf("%s: %v", what, err)
		}
		for _, torn := range []*crashfs.FS{again.Crash(crashfs.Survival(cut % 4)), again.CrashRandom(uint64(cut))} {
			j, err := journal.Open(config(torn))
			if err != nil {
				t.Fatalf("%s, then %d: %v", what, cut, err)
			}
			w.check(t, fmt.Sprintf("%s, then in the replay after %d", what, cut), torn, j)
		}
	}
}

func (w *world) check(t *testing.T, what string, disk *crashfs.FS, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Errorf("%s: close: %v", what, err)
	}
	if n := disk.OpenFiles(); n != 0 {
		t.Errorf("%s: %d files are open", what, n)
	}
	there := map[string]int{}
	for _, dir := range []string{"m", "m/.f", "m/.g"} {
		for _, sub := range []string{"new", "cur"} {
			names, _ := disk.ReadDirNames(path.Join(dir, sub))
			for _, name := range names {
				base, _, _ := strings.Cut(name, ":")
				key := dir + " " + base
				if there[key]++; sub == "cur" && there[key] == 2 && sameFile(t, disk, path.Join(dir, "new", base), path.Join(dir, "cur", name)) {
					there[key] = 1 // half a rename, as without a journal; storage/maildir mends it
				}
				data, err := durable.ReadFile(disk, path.Join(dir, sub, name))
				if want := w.tried[strings.Replace(key, ".g", ".f", 1)]; err != nil || string(data) != want {
					t.Errorf("%s: %s holds %d octets, %v, want %d", what, key, len(data), err, len(want))
				}
			}
		}
	}
	for key := range w.texts {
		if n := there[key]; n != 1 && there[strings.Replace(key, ".f", ".g", 1)] != 1 {
			t.Errorf("%s: %s was acknowledged and is there %d times", what, key, n)
		}
	}
	for key, n := range there {
		if w.removed[key] || n > 1 {
			t.Errorf("%s: %s is there %d times, removed %v", what, key, n, w.removed[key])
		}
	}
}

func sameFile(t *testing.T, disk *crashfs.FS, a, b string) bool {
	t.Helper()
	x, err := disk.Stat(a)
	if err != nil {
		return false
	}
	y, err := disk.Stat(b)
	if err != nil {
		t.Error(err)
		return false
	}
	return os.SameFile(x, y) || fmt.Sprint(x.Sys()) == fmt.Sprint(y.Sys())
}

// isOff reports whether the power was cut: the journal was broken by it.
func (w *world) isOff() bool {
	_, err := w.disk.Stat(".")
	return errors.Is(err, crashfs.ErrPowerCut)
}
