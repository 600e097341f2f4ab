package crashfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/durabletest"
)

func TestConforms(t *testing.T) {
	t.Parallel()
	durabletest.Run(t, func(*testing.T) durable.FS { return crashfs.New() })
	t.Run("below a Sub", func(t *testing.T) {
		t.Parallel()
		durabletest.Run(t, func(t *testing.T) durable.FS {
			whole := crashfs.New()
			must(t, whole.Mkdir("sub", 0o700))
			sub, err := whole.Sub("sub")
			must(t, err)
			return sub
		})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world runs a script of one-word steps, so that a row of the table shows what
// was done: "write f ab" (create or append), "sync f", "syncdir d", ...
func world(t *testing.T, script string) *crashfs.FS {
	t.Helper()
	fsys := crashfs.New()
	for line := range strings.SplitSeq(script, ";") {
		run(t, fsys, strings.Fields(line))
	}
	return fsys
}

func run(t *testing.T, fsys *crashfs.FS, args []string) {
	t.Helper()
	switch args[0] {
	case "write", "sync", "rewrite", "cut":
		flag := map[string]int{"rewrite": os.O_TRUNC, "write": os.O_APPEND}[args[0]]
		f, err := fsys.OpenFile(args[1], os.O_CREATE|os.O_WRONLY|flag, 0o600)
		must(t, err)
		switch args[0] {
		case "sync":
			must(t, f.Sync())
		case "cut":
			must(t, f.Truncate(1))
		default:
			_, err = f.Write([]byte(args[2]))
			must(t, err)
		}
		must(t, f.Close())
	case "mkdir":
		must(t, fsys.Mkdir(args[1], 0o700))
	case "syncdir":
		must(t, fsys.SyncDir(args[1]))
	case "rename":
		must(t, fsys.Rename(args[1], args[2]))
	case "named": // a file without a name that gets one
		f, err := fsys.CreateUnnamed(args[1], 0o600)
		must(t, err)
		_, err = f.Write([]byte(args[3]))
		must(t, err)
		must(t, f.Link(args[2]))
		must(t, f.Close())
	case "link":
		must(t, fsys.Link(args[1], args[2]))
	case "remove":
		must(t, fsys.Remove(args[1]))
	case "barrier":
		must(t, fsys.Barrier())
	default:
		t.Fatalf("step %q", args)
	}
}

// show is the tree in one line: "d/ d/f=content", sorted.
func show(t *testing.T, fsys durable.FS) string {
	t.Helper()
	return strings.Join(list(t, fsys, "."), " ")
}

func list(t *testing.T, fsys durable.FS, dir string) (all []string) {
	t.Helper()
	names, err := fsys.ReadDirNames(dir)
	must(t, err)
	slices.Sort(names)
	for _, n := range names {
		p := strings.TrimPrefix(dir+"/"+n, "./")
		info, err := fsys.Lstat(p)
		must(t, err)
		if info.IsDir() {
			all = append(append(all, p+"/"), list(t, fsys, p)...)
			continue
		}
		data, err := durable.ReadFile(fsys, p)
		must(t, err)
		all = append(all, p+"="+strings.ReplaceAll(string(data), "\x00", "0"))
	}
	return all
}

func TestCrash(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, script                     string
		nothing, everything, empty, torn string
	}{
		{"a name needs its directory synced", "write f ab;sync f", "", "f=ab", "f=ab", "f=ab"},
		{"content needs its file synced", "write f ab;syncdir .", "f=", "f=ab", "f=", "f=a0"},
		{"both", "write f ab;sync f;syncdir .", "f=ab", "f=ab", "f=ab", "f=ab"},
		{"a barrier is both, everywhere", "mkdir d;write d/f ab;barrier", "d/ d/f=ab", "d/ d/f=ab", "d/ d/f=ab", "d/ d/f=ab"},
		{"appending leaves what was synced", "write f ab;barrier;write f cdef", "f=ab", "f=abcdef", "f=ab", "f=abcd00"},
		{"rewriting may leave nothing", "write f ab;barrier;rewrite f cd", "f=ab", "f=cd", "f=", "f=c0"},
		{"shortening", "write f ab;barrier;cut f", "f=ab", "f=a", "f=", "f=0"},
		{"a directory is a name too", "mkdir d;write d/f ab;sync d/f;syncdir d", "", "d/ d/f=ab", "d/ d/f=ab", "d/ d/f=ab"},
		{"removing needs a sync", "write f ab;barrier;remove f", "f=ab", "", "", ""},
		{"and has it", "write f ab;barrier;remove f;syncdir .", "", "", "", ""},
		{"rename in one directory", "write a x;barrier;rename a b", "a=x", "b=x", "b=x", "b=x"},
		{"rename, new directory synced", "mkdir t;mkdir n;write t/a x;barrier;rename t/a n/a;syncdir n",
			"n/ n/a=x t/ t/a=x", "n/ n/a=x t/", "n/ n/a=x t/", "n/ n/a=x t/"},
		{"rename, old directory synced: never neither", "mkdir t;mkdir n;write t/a x;barrier;rename t/a n/a;syncdir t",
			"n/ n/a=x t/", "n/ n/a=x t/", "n/ n/a=x t/", "n/ n/a=x t/"},
		{"rename without content", "mkdir t;mkdir n;barrier;write t/a xy;rename t/a n/a", "n/ t/", "n/ n/a=xy t/", "n/ n/a= t/", "n/ n/a=x0 t/"},
		{"rename of a directory takes what is in it", "mkdir d;write d/f x;barrier;rename d e;syncdir .", "e/ e/f=x", "e/ e/f=x", "e/ e/f=x", "e/ e/f=x"},
		{"a name that comes later is one like others", "named . f ab", "", "f=ab", "f=", "f=a0"},
		{"but counts as deleted until it is synced with it", "named . f ab;syncdir .", "", "f=ab", "f=", "f=a0"},
		{"and needs both syncs", "named . f ab;sync f;syncdir .", "f=ab", "f=ab", "f=ab", "f=ab"},
		{"replacing is old or new", "write f old;barrier;write g new;sync g;rename g f", "f=old", "f=new", "f=new", "f=new"},
		{"two names are one file", "write a x;barrier;link a b;write b y;sync a;syncdir .", "a=xy b=xy", "a=xy b=xy", "a=xy b=xy", "a=xy b=xy"},
	} {
		fsys := world(t, tt.script)
		for s, want := range map[crashfs.Survival]string{
			crashfs.Nothing: tt.nothing, crashfs.Everything: tt.everything,
			crashfs.NamesEmpty: tt.empty, crashfs.NamesTorn: tt.torn,
		} {
			if got := show(t, fsys.Crash(s)); got != want {
				t.Errorf("%s: %s, %v:\n got %q\nwant %q", tt.rule, tt.script, s, got, want)
			}
		}
	}
}

// TestCrashRandom holds that random outcomes lie between the extremes, that
// there are many, and that a seed means the same each time.
func TestCrashRandom(t *testing.T) {
	t.Parallel()
	script := "mkdir t;mkdir n;write t/a ab;barrier;write t/a cd;rename t/a n/a;write n/b x;sync n/b;rename n/b n/c;remove n/c"
	fsys := world(t, script)
	seen := map[string]bool{}
	for seed := range uint64(200) {
		got := show(t, fsys.CrashRandom(seed))
		seen[got] = true
		if again := show(t, fsys.CrashRandom(seed)); again != got {
			t.Fatalf("seed %d: %q, then %q", seed, got, again)
		}
		if !strings.Contains(got, "/a=ab") {
			t.Errorf("seed %d lost what was synced: %q", seed, got)
		}
		if strings.Contains(got, "n/b") && strings.Contains(got, "n/c") {
			t.Errorf("seed %d took a rename in one directory apart: %q", seed, got)
		}
	}
	for _, want := range []string{"n/ t/ t/a=ab", "n/ n/a=abcd t/", "n/ n/a=ab t/ t/a=ab", "n/ n/a=abc0 n/c=x t/"} {
		if !seen[want] {
			t.Errorf("200 seeds never gave %q", want)
		}
	}
}

// TestCrashIsApart holds that a crashed tree and its original share nothing.
func TestCrashIsApart(t *testing.T) {
	t.Parallel()
	fsys := world(t, "write f ab;barrier;write f cd")
	after := fsys.Crash(crashfs.Everything)
	run(t, fsys, []string{"write", "f", "XX"})
	run(t, after, []string{"write", "f", "YY"})
	run(t, after, []string{"write", "g", "z"})
	if got := show(t, fsys); got != "f=abcdXX" {
		t.Errorf("original is %q", got)
	}
	if got := show(t, after); got != "f=abcdYY g=z" {
		t.Errorf("crashed tree is %q", got)
	}
	if got := show(t, after.Crash(crashfs.Nothing)); got != "f=abcd" {
		t.Errorf("what survived was not durable: %q", got)
	}
}

func TestCutAfter(t *testing.T) {
	t.Parallel()
	fsys := world(t, "write f ab;barrier")
	before := fsys.Operations()
	f, err := fsys.OpenFile("f", os.O_RDWR, 0)
	must(t, err)
	fsys.CutAfter(1)
	_, err = f.Write([]byte("XY"))
	must(t, err)
	for what, err := range map[string]error{
		"Sync":     f.Sync(),
		"Remove":   fsys.Remove("f"),
		"Barrier":  fsys.Barrier(),
		"Truncate": f.Truncate(0),
	} {
		if _, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, crashfs.ErrPowerCut) {
			t.Errorf("%s without power: %v", what, err)
		}
	}
	must(t, f.Close())
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files open", n)
	}
	if n := fsys.Operations() - before; n != 6 {
		t.Errorf("%d operations counted, want 6", n)
	}
	if got := show(t, fsys.Crash(crashfs.Everything)); got != "f=XY" {
		t.Errorf("after the cut: %q", got)
	}
	fsys.CutAfter(-1)
	must(t, fsys.Remove("f"))
}

func TestInject(t *testing.T) {
	t.Parallel()
	fsys := world(t, "write f ab;barrier")
	var ops []string
	fsys.Inject(func(o crashfs.Op) error {
		ops = append(ops, fmt.Sprintf("%s %s", o.Kind, o.Name))
		return nil
	})
	must(t, fsys.Mkdir("d", 0o700))
	sub, err := fsys.Sub("d")
	must(t, err)
	must(t, durable.WriteFile(sub, "x", nil, 0o600))
	want := []string{"mkdir d", "sub d", "create d/x.tmp", "write d/x.tmp", "sync d/x.tmp", "rename d/x.tmp", "syncdir d"}
	if !slices.Equal(ops, want) {
		t.Errorf("operations %q\nwant %q", ops, want)
	}

	fsys.Inject(crashfs.ReadOnly)
	if err := durable.WriteFile(fsys, "g", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("read-only: %v", err)
	}
	if _, err := durable.ReadFile(fsys, "f"); err != nil {
		t.Errorf("reading a read-only tree: %v", err)
	}
	fsys.Inject(crashfs.Full)
	if err := durable.WriteFile(fsys, "g", nil, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full: %v", err)
	}
	fsys.Inject(crashfs.FailNth(2, syscall.EIO))
	f, err := fsys.OpenFile("f", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	if n, err := f.Write([]byte("cdef")); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Errorf("failing write wrote %d, %v", n, err)
	}
	_, err = f.Write([]byte("!"))
	must(t, err)
	must(t, f.Close())
	fsys.Inject(nil)
	if data, err := durable.ReadFile(fsys, "f"); string(data) != "abcd!" || err != nil {
		t.Errorf("file holds %q, %v", data, err)
	}
}

// TestWriteFileSurvives cuts the power after every operation of WriteFile: the
// old content or the new one is there, whole, and the new one once WriteFile
// has returned.
func TestWriteFileSurvives(t *testing.T) {
	t.Parallel()
	for n := int64(0); ; n++ {
		fsys := world(t, "write f old-content;barrier")
		fsys.CutAfter(n)
		err := durable.WriteFile(fsys, "f", []byte("new"), 0o600)
		for _, s := range crashfs.Survivals() {
			got, readErr := durable.ReadFile(fsys.Crash(s), "f")
			if readErr != nil || string(got) != "new" && (err == nil || string(got) != "old-content") {
				t.Errorf("cut after %d, %v: %q, %v; WriteFile said %v", n, s, got, readErr, err)
			}
		}
		if err == nil {
			return
		}
	}
}

func TestMkdirAllSurvives(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	must(t, fsys.Mkdir("a", 0o700)) // by somebody who did not sync it
	must(t, durable.MkdirAll(fsys, "a/b/c", 0o700))
	if got := show(t, fsys.Crash(crashfs.Nothing)); got != "a/ a/b/ a/b/c/" {
		t.Errorf("after a power cut: %q", got)
	}
}
