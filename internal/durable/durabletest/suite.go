// Package durabletest is the suite that every durable.FS passes, so that what
// a test finds on crashfs is true on a disk. It is about what happens, not
// about what survives: that is crashfs's own test.
package durabletest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomaild/internal/durable"
)

// Run runs the suite; each test makes an empty tree for itself with open and
// closes it.
func Run(t *testing.T, open func(t *testing.T) durable.FS) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, fsys durable.FS)
	}{
		{"Errors", testErrors},
		{"OpenFlags", testOpenFlags},
		{"ReadWrite", testReadWrite},
		{"InPlace", testInPlace},
		{"Names", testNames},
		{"Rename", testRename},
		{"Many", testMany},
		{"ReadDir", testReadDir},
		{"Symlinks", testSymlinks},
		{"Escapes", testEscapes},
		{"Times", testTimes},
		{"Unlinked", testUnlinked},
		{"Unnamed", testUnnamed},
		{"Sub", testSub},
		{"Lock", testLock},
		{"Helpers", testHelpers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := open(t)
			tt.run(t, fsys)
			check(t, "Close", fsys.Close(), nil)
		})
	}
}

// errAny stands for any error, where systems differ.
var errAny = errors.New("any error")

func check(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (err == nil || want != errAny) { //nolint:errorlint // errAny is a mark
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if _, ok := errors.AsType[*fs.PathError](err); err != nil && !ok {
		t.Errorf("%s: %T is no *fs.PathError", what, err)
	}
}

func write(t *testing.T, fsys durable.FS, name string, flag int, data string) {
	t.Helper()
	f, err := fsys.OpenFile(name, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte(data)); n != len(data) || err != nil {
		t.Errorf("write %s: %d, %v", name, n, err)
	}
	check(t, "Sync", f.Sync(), nil)
	check(t, "Close", f.Close(), nil)
}

const create = os.O_CREATE | os.O_EXCL | os.O_WRONLY

func content(t *testing.T, fsys durable.FS, name, want string) {
	t.Helper()
	if got, err := durable.ReadFile(fsys, name); string(got) != want || err != nil {
		t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
	}
}

func names(t *testing.T, fsys durable.FS, dir string, want ...string) {
	t.Helper()
	got, err := fsys.ReadDirNames(dir)
	slices.Sort(got)
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("%s holds %q, %v; want %q", dir, got, err, want)
	}
}

func testErrors(t *testing.T, fsys durable.FS) {
	write(t, fsys, "file", create, "x")
	check(t, "Mkdir", fsys.Mkdir("dir", 0o700), nil)
	write(t, fsys, "dir/file", create, "x")
	open := func(name string, flag int) error {
		f, err := fsys.OpenFile(name, flag, 0o600)
		if err == nil {
			err = f.Close()
		}
		return err
	}
	stat := func(name string) error { _, err := fsys.Stat(name); return err }
	list := func(name string) error { _, err := fsys.ReadDirNames(name); return err }
	sub := func(name string) error { _, err := fsys.Sub(name); return err }
	for _, tt := range []struct {
		what string
		err  error
		want error
	}{
		{"open what is missing", open("no", os.O_RDONLY), fs.ErrNotExist},
		{"open below what is missing", open("no/x", create), fs.ErrNotExist},
		{"open below a file", open("file/x", create), syscall.ENOTDIR},
		{"open exclusively what is there", open("file", create), fs.ErrExist},
		{"open a directory for writing", open("dir", os.O_WRONLY), syscall.EISDIR},
		{"stat what is missing", stat("no"), fs.ErrNotExist},
		{"mkdir over a file", fsys.Mkdir("file", 0o700), fs.ErrExist},
		{"mkdir below what is missing", fsys.Mkdir("no/dir", 0o700), fs.ErrNotExist},
		{"rename what is missing", fsys.Rename("no", "new"), fs.ErrNotExist},
		{"rename into what is missing", fsys.Rename("file", "no/new"), fs.ErrNotExist},
		{"rename a file over a directory", fsys.Rename("file", "dir"), errAny},
		{"rename a directory over a file", fsys.Rename("dir", "file"), syscall.ENOTDIR},
		{"rename a directory into itself", fsys.Rename("dir", "dir/x"), syscall.EINVAL},
		{"link what is missing", fsys.Link("no", "new"), fs.ErrNotExist},
		{"link over a file", fsys.Link("file", "dir/file"), fs.ErrExist},
		{"remove what is missing", fsys.Remove("no"), fs.ErrNotExist},
		{"remove a full directory", fsys.Remove("dir"), syscall.ENOTEMPTY},
		{"list what is missing", list("no"), fs.ErrNotExist},
		{"list a file", list("file"), syscall.ENOTDIR},
		{"sync a missing directory", fsys.SyncDir("no"), fs.ErrNotExist},
		{"sub of what is missing", sub("no"), fs.ErrNotExist},
		{"sub of a file", sub("file"), syscall.ENOTDIR},
	} {
		check(t, tt.what, tt.err, tt.want)
	}
}

func testOpenFlags(t *testing.T, fsys durable.FS) {
	write(t, fsys, "f", create, "hello")
	write(t, fsys, "f", os.O_WRONLY|os.O_APPEND, " world")
	content(t, fsys, "f", "hello world")
	write(t, fsys, "f", os.O_WRONLY, "HE")
	content(t, fsys, "f", "HEllo world")
	write(t, fsys, "f", os.O_WRONLY|os.O_TRUNC, "new")
	content(t, fsys, "f", "new")
	f, err := fsys.OpenFile("f", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("x"))
	check(t, "write to a file opened for reading", err, syscall.EBADF)
	check(t, "Close", f.Close(), nil)
	check(t, "second Close", f.Close(), fs.ErrClosed)
}

func testReadWrite(t *testing.T, fsys durable.FS) {
	f, err := fsys.OpenFile("f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Name() != "f" {
		t.Errorf("Name is %q", f.Name())
	}
	if _, err := f.Write([]byte("0123456789")); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 4)
	if n, err := f.ReadAt(buf, 3); n != 4 || err != nil || string(buf) != "3456" {
		t.Errorf("ReadAt 3: %q, %d, %v", buf, n, err)
	}
	if n, err := f.ReadAt(buf, 8); n != 2 || err != io.EOF { //nolint:errorlint // io.ReaderAt says the bare EOF
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	if n, err := f.Read(buf); n != 0 || err != io.EOF { //nolint:errorlint // as above
		t.Errorf("Read at the end: %d, %v", n, err)
	}
	check(t, "Truncate", f.Truncate(4), nil)
	if info, err := f.Stat(); err != nil || info.Size() != 4 || info.Name() != "f" || !info.Mode().IsRegular() {
		t.Errorf("Stat after Truncate: %v, %v", info, err)
	}
	check(t, "Truncate to more", f.Truncate(6), nil)
	content(t, fsys, "f", "0123\x00\x00")
	check(t, "Sync", f.Sync(), nil)
	check(t, "Barrier", fsys.Barrier(), nil)
}

func testInPlace(t *testing.T, fsys durable.FS) {
	write(t, fsys, "f", create, "0123456789")
	f, err := fsys.OpenFile("f", os.O_RDWR, 0)
	check(t, "open", err, nil)
	for _, step := range []struct {
		off        int64
		text, want string
	}{
		{2, "xy", "01xy456789"},
		{8, "END", "01xy4567END"},
		{13, "!", "01xy4567END\x00\x00!"},
	} {
		n, err := f.WriteAt([]byte(step.text), step.off)
		check(t, "WriteAt", err, nil)
		if n != len(step.text) {
			t.Errorf("WriteAt wrote %d of %q", n, step.text)
		}
		check(t, "SyncData", f.SyncData(), nil)
		content(t, fsys, "f", step.want)
	}
	if head, err := io.ReadAll(io.LimitReader(f, 2)); string(head) != "01" || err != nil {
		t.Errorf("WriteAt moved the offset of the file: read %q, %v", head, err)
	}
	check(t, "close", f.Close(), nil)
	check(t, "SyncData of a closed file", f.SyncData(), fs.ErrClosed)
	_, err = f.WriteAt([]byte("x"), 0)
	check(t, "WriteAt to a closed file", err, fs.ErrClosed)
}

func testNames(t *testing.T, fsys durable.FS) {
	names(t, fsys, ".")
	check(t, "Mkdir", fsys.Mkdir("d", 0o700), nil)
	write(t, fsys, "d/a", create, "a")
	check(t, "Link", fsys.Link("d/a", "b"), nil)
	names(t, fsys, ".", "b", "d")
	write(t, fsys, "b", os.O_WRONLY, "B")
	content(t, fsys, "d/a", "B")
	check(t, "Remove", fsys.Remove("d/a"), nil)
	content(t, fsys, "b", "B")
	check(t, "SyncDir", fsys.SyncDir("d"), nil)
	check(t, "SyncDir of the root", fsys.SyncDir("."), nil)
	check(t, "Remove a directory", fsys.Remove("d"), nil)
	names(t, fsys, ".", "b")
	if info, err := fsys.Stat("."); err != nil || !info.IsDir() {
		t.Errorf("Stat of the root: %v, %v", info, err)
	}
}

func testRename(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("tmp", 0o700), nil)
	check(t, "Mkdir", fsys.Mkdir("new", 0o700), nil)
	write(t, fsys, "tmp/a", create, "a")
	write(t, fsys, "new/b", create, "b")
	check(t, "Rename", fsys.Rename("tmp/a", "new/b"), nil)
	names(t, fsys, "tmp")
	names(t, fsys, "new", "b")
	content(t, fsys, "new/b", "a")
	check(t, "Rename to itself", fsys.Rename("new/b", "new/b"), nil)
	check(t, "Rename a directory", fsys.Rename("new", "tmp/cur"), nil)
	content(t, fsys, "tmp/cur/b", "a")
	names(t, fsys, ".", "tmp")
}

// testMany is about RenameIn and RemoveIn.
func testMany(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("dir", 0o700), nil)
	for _, name := range []string{"a", "b", "c", "d"} {
		write(t, fsys, "dir/"+name, create, name)
	}
	rename := func(dir string, names ...durable.NewName) (int, error) { return fsys.RenameIn(dir, names) }
	remove := func(dir string, names ...string) (int, error) { return fsys.RemoveIn(dir, names) }
	many := func(what string, wantDone int, want error, call func() (int, error)) {
		t.Helper()
		done, err := call()
		check(t, what, err, want)
		if done != wantDone {
			t.Errorf("%s: %d done, want %d", what, done, wantDone)
		}
	}
	many("rename", 2, nil, func() (int, error) {
		return rename("dir", durable.NewName{Old: "a", New: "A"}, durable.NewName{Old: "b", New: "B"})
	})
	content(t, fsys, "dir/A", "a")
	content(t, fsys, "dir/B", "b")
	many("rename one that is not there", 1, fs.ErrNotExist, func() (int, error) {
		return rename("dir", durable.NewName{Old: "c", New: "C"}, durable.NewName{Old: "b", New: "x"}, durable.NewName{Old: "d", New: "D"})
	})
	content(t, fsys, "dir/C", "c")
	content(t, fsys, "dir/d", "d")
	many("rename out of the tree", 0, errAny, func() (int, error) {
		return rename("dir", durable.NewName{Old: "d", New: "../../x"})
	})
	many("rename in no directory", 0, fs.ErrNotExist, func() (int, error) {
		return rename("none", durable.NewName{Old: "a", New: "b"})
	})
	many("rename to over one", 1, nil, func() (int, error) { return rename("dir", durable.NewName{Old: "d", New: "C"}) })
	content(t, fsys, "dir/C", "d")
	many("remove", 2, fs.ErrNotExist, func() (int, error) { return remove("dir", "A", "B", "B", "C") })
	many("remove out of the tree", 0, errAny, func() (int, error) { return remove("dir", "../../x") })
	many("remove in no directory", 0, fs.ErrNotExist, func() (int, error) { return remove("none", "x") })
	many("nothing", 0, nil, func() (int, error) { return remove("dir") })
	if names, err := fsys.ReadDirNames("dir"); err != nil || !slices.Equal(names, []string{"C"}) {
		t.Errorf("%q, %v", names, err)
	}
}

// testReadDir lists more than one system call returns.
func testReadDir(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("dir", 0o700), nil)
	check(t, "Mkdir", fsys.Mkdir("dir/a directory", 0o700), nil)
	check(t, "Symlink", fsys.Symlink("some", "dir/link"), nil)
	want := []durable.Entry{{Name: "a directory"}, {Name: "link"}}
	for i := range 1200 {
		name := fmt.Sprintf("n%04d%s", i, strings.Repeat("x", i%150))
		f, err := fsys.OpenFile("dir/"+name, create, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		check(t, "Close", f.Close(), nil)
		want = append(want, durable.Entry{Name: name, IsFile: true})
	}
	got, err := fsys.ReadDir("dir")
	check(t, "ReadDir", err, nil)
	slices.SortFunc(got, func(a, b durable.Entry) int { return strings.Compare(a.Name, b.Name) })
	if len(got) > 0 && !got[len(got)-1].IsFile {
		for i := range got {
			got[i].IsFile = got[i].Name[0] == 'n' // the file system does not tell
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d: %.300v", len(got), len(want), got)
	}
	_, err = fsys.ReadDir("none")
	check(t, "ReadDir of nothing", err, fs.ErrNotExist)
	_, err = fsys.ReadDir("dir/" + want[5].Name)
	check(t, "ReadDir of a file", err, errAny)
	_, err = fsys.ReadDir("..")
	check(t, "ReadDir out of the tree", err, errAny)
}

func testSymlinks(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("d", 0o700), nil)
	write(t, fsys, "d/f", create, "x")
	check(t, "Symlink", fsys.Symlink("../d/f", "d/link"), nil)
	check(t, "Symlink to a directory", fsys.Symlink("d", "dir"), nil)
	check(t, "Symlink to itself", fsys.Symlink("loop", "loop"), nil)
	content(t, fsys, "dir/link", "x")
	if target, err := fsys.Readlink("d/link"); target != "../d/f" || err != nil {
		t.Errorf("Readlink: %q, %v", target, err)
	}
	_, err := fsys.Readlink("d/f")
	check(t, "Readlink of a file", err, syscall.EINVAL)
	if info, err := fsys.Lstat("d/link"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat: %v, %v", info, err)
	}
	if info, err := fsys.Stat("d/link"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("Stat: %v, %v", info, err)
	}
	write(t, fsys, "d/some", os.O_CREATE|os.O_WRONLY, "some")
	if infos, err := fsys.StatIn("d", "link", "missing", "some"); err != nil || infos[0] == nil || !infos[0].Mode().IsRegular() || infos[1] != nil || infos[2] == nil || infos[2].Size() != 4 {
		t.Errorf("StatIn: %v, %v", infos, err)
	}
	if infos, err := fsys.StatIn(".", "d", "loop"); err == nil {
		t.Errorf("StatIn of a loop: %v", infos)
	}
	_, err = fsys.StatIn("missing", "f")
	check(t, "StatIn of a directory that is not there", err, fs.ErrNotExist)
	buf := make([]byte, 9)
	if n, err := fsys.ReadInto("d/some", buf); n != 4 || err != nil || string(buf[:n]) != "some" {
		t.Errorf("ReadInto: %q, %v", buf[:n], err)
	}
	if n, err := fsys.ReadInto("d/some", buf[:3]); n != 3 || err != nil {
		t.Errorf("ReadInto a part: %d, %v", n, err)
	}
	_, err = fsys.ReadInto("d/missing", buf)
	check(t, "ReadInto what is not there", err, fs.ErrNotExist)
	check(t, "Remove", fsys.Remove("d/some"), nil)
	if _, err := fsys.Stat("loop"); err == nil {
		t.Error("a loop of symbolic links was followed to an end")
	}
	check(t, "Rename a link", fsys.Rename("d/link", "moved"), nil)
	check(t, "Remove a link", fsys.Remove("dir"), nil)
	names(t, fsys, "d", "f")
}

func testEscapes(t *testing.T, fsys durable.FS) {
	check(t, "Symlink", fsys.Symlink("/etc", "abs"), nil)
	check(t, "Symlink", fsys.Symlink("../..", "up"), nil)
	for _, name := range []string{"..", "../x", "/etc/passwd", "abs/passwd", "up/x", "", "d/../../x"} {
		f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
		if err == nil {
			t.Errorf("%q was opened", name)
			f.Close()
		}
		if fsys.Mkdir(name+"/made", 0o700) == nil {
			t.Errorf("%q: a directory was made there", name)
		}
	}
}

func testTimes(t *testing.T, fsys durable.FS) {
	write(t, fsys, "f", create, "x")
	want := time.Date(2001, 2, 3, 4, 5, 6, 789000, time.UTC)
	check(t, "Chtimes", fsys.Chtimes("f", time.Time{}, want), nil)
	if info, err := fsys.Stat("f"); err != nil || !info.ModTime().Equal(want) {
		t.Errorf("time is %v, %v", info.ModTime(), err)
	}
	info, err := fsys.Stat("f")
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink != 1 || st.Ino == 0 {
		t.Errorf("Sys is %+v", info.Sys())
	}
	check(t, "Chown to nobody else", fsys.Chown("f", -1, -1), nil)
	check(t, "Chown of what is missing", fsys.Chown("no", -1, -1), fs.ErrNotExist)
}

func testUnlinked(t *testing.T, fsys durable.FS) {
	f, err := fsys.OpenFile("f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "Remove", fsys.Remove("f"), nil)
	if _, err := f.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 5)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "still" {
		t.Errorf("read %q, %v", buf, err)
	}
	check(t, "Close", f.Close(), nil)
	names(t, fsys, ".")
}

func testSub(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("a", 0o700), nil)
	sub, err := fsys.Sub("a")
	if err != nil {
		t.Fatal(err)
	}
	write(t, sub, "f", create, "x")
	content(t, fsys, "a/f", "x")
	if _, err := sub.Stat("../a"); err == nil {
		t.Error("a Sub reached its parent")
	}
	check(t, "Rename below a Sub", fsys.Rename("a", "b"), nil)
	content(t, sub, "f", "x")
	check(t, "Barrier", sub.Barrier(), nil)
	check(t, "Close", sub.Close(), nil)
	content(t, fsys, "b/f", "x")
}

func testLock(t *testing.T, fsys durable.FS) {
	open := func() durable.File {
		f, err := fsys.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	check(t, "TryLock", first.TryLock(), nil)
	check(t, "TryLock again", first.TryLock(), nil)
	check(t, "TryLock of a second opening", second.TryLock(), durable.ErrLocked)
	check(t, "Close", first.Close(), nil)
	check(t, "TryLock after the first closed", second.TryLock(), nil)
	check(t, "Close", second.Close(), nil)
	check(t, "TryLock of what is closed", second.TryLock(), fs.ErrClosed)
}

func testHelpers(t *testing.T, fsys durable.FS) {
	check(t, "MkdirAll", durable.MkdirAll(fsys, "a/b/c", 0o700), nil)
	check(t, "MkdirAll again", durable.MkdirAll(fsys, "a/b/c/", 0o700), nil)
	check(t, "WriteFile", durable.WriteFile(fsys, "a/b/f", []byte("one"), 0o600), nil)
	check(t, "WriteFile again", durable.WriteFile(fsys, "a/b/f", []byte("two"), 0o600), nil)
	content(t, fsys, "a/b/f", "two")
	names(t, fsys, "a/b", "c", "f")
	check(t, "MkdirAll over a file", durable.MkdirAll(fsys, "a/b/f/g", 0o700), fs.ErrExist)
	check(t, "WriteFile into what is missing", durable.WriteFile(fsys, "no/f", nil, 0o600), fs.ErrNotExist)
	check(t, "WriteFile over a directory", durable.WriteFile(fsys, "a/b", nil, 0o600), errAny)
	names(t, fsys, "a", "b")
	_, err := durable.ReadFile(fsys, "no")
	check(t, "ReadFile of what is missing", err, fs.ErrNotExist)
}

// testUnnamed holds that a file of CreateUnnamed is in no directory until Link,
// and is gone without.
func testUnnamed(t *testing.T, fsys durable.FS) {
	check(t, "Mkdir", fsys.Mkdir("tmp", 0o700), nil)
	check(t, "Mkdir", fsys.Mkdir("new", 0o700), nil)
	f, err := fsys.CreateUnnamed("tmp", 0o600)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Fatal("the file system of the test's directory has no files without names")
	}
	check(t, "CreateUnnamed", err, nil)
	if _, err := f.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	check(t, "Chown", f.Chown(-1, -1), nil)
	check(t, "Sync", f.Sync(), nil)
	names(t, fsys, "tmp")
	check(t, "Link to nowhere", f.Link("none/a"), fs.ErrNotExist)
	check(t, "Link out of the tree", f.Link("../a"), errAny)
	check(t, "Link", f.Link("new/a"), nil)
	check(t, "Link to a name that is taken", f.Link("new/a"), fs.ErrExist)
	check(t, "SyncDir", fsys.SyncDir("new"), nil)
	check(t, "Close", f.Close(), nil)
	check(t, "Link after Close", f.Link("new/b"), fs.ErrClosed)
	names(t, fsys, "tmp")
	names(t, fsys, "new", "a")
	data, err := durable.ReadFile(fsys, "new/a")
	check(t, "ReadFile", err, nil)
	info, err := fsys.Stat("new/a")
	check(t, "Stat", err, nil)
	if string(data) != "text" || info.Mode() != 0o600 {
		t.Errorf("%q, %v", data, info.Mode())
	}

	f, err = fsys.CreateUnnamed("new", 0o600)
	check(t, "CreateUnnamed", err, nil)
	check(t, "Close", f.Close(), nil)
	names(t, fsys, "new", "a")
	_, err = fsys.CreateUnnamed("none", 0o600)
	check(t, "CreateUnnamed in nothing", err, fs.ErrNotExist)
	_, err = fsys.CreateUnnamed("new/a", 0o600)
	check(t, "CreateUnnamed in a file", err, errAny)
}
