package spool

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
)

const testMemory = 2*chunkSize + chunkSize/2

func newSpool(t *testing.T, fsys durable.FS) *Spool {
	t.Helper()
	s, err := New(Config{FS: fsys, Dir: "var/spool", Memory: testMemory})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

func left(t *testing.T, fsys durable.FS) []string {
	t.Helper()
	names, err := fsys.ReadDirNames("var/spool")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		size   int
		onDisk bool
	}{
		{"empty", 0, false},
		{"small", 100, false},
		{"one chunk", chunkSize, false},
		{"one chunk and an octet", chunkSize + 1, false},
		{"the limit", testMemory, false},
		{"over the limit", testMemory + 1, true},
		{"many chunks", 9*chunkSize + 5, true},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			fsys := crashfs.New()
			s := newSpool(t, fsys)
			want := octets(tt.size)
			c, err := s.Read(iotest.HalfReader(bytes.NewReader(want)))
			if err != nil {
				t.Fatal(err)
			}
			if c.Size() != int64(tt.size) || c.file != nil != tt.onDisk {
				t.Errorf("size %d, on disk %t", c.Size(), c.file != nil)
			}
			if err := iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), want); err != nil {
				t.Error(err)
			}
			if names := left(t, fsys); len(names) != 0 {
				t.Errorf("names in the spool: %q", names)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := c.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("ReadAt after Close: %v", err)
			}
			if err := c.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("second Close: %v", err)
			}
			if n := fsys.OpenFiles(); n != 0 {
				t.Errorf("%d files open", n)
			}
		})
	}
}

// TestReaderFails holds that the reader's error comes back as it is and that
// nothing is left of what it gave before.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, chunkSize, 5 * chunkSize} {
		for _, want := range []error{io.ErrUnexpectedEOF, errors.New("bare LF")} {
			fsys := crashfs.New()
			s := newSpool(t, fsys)
			c, err := s.Read(io.MultiReader(bytes.NewReader(octets(size)), iotest.ErrReader(want)))
			if c != nil || err != want { //nolint:errorlint // as it is
				t.Errorf("after %d octets: %v, %v, want %v", size, c, err, want)
			}
			if n := fsys.OpenFiles(); n != 0 || len(left(t, fsys)) != 0 {
				t.Errorf("after %d octets: %d files open, names %q", size, n, left(t, fsys))
			}
		}
	}
	s := newSpool(t, crashfs.New())
	if _, err := s.Read(stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestDiskFails lets each operation of a large message fail.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		fsys := crashfs.New()
		s := newSpool(t, fsys)
		fsys.Inject(crashfs.FailNth(n, syscall.ENOSPC))
		c, err := s.Read(bytes.NewReader(octets(5 * chunkSize)))
		if err == nil {
			if n < 5 {
				t.Errorf("%d operations for a large message are too few to believe", n-1)
			}
			c.Close()
			return
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("operation %d: %v", n, err)
		}
		if fsys.OpenFiles() != 0 {
			t.Errorf("operation %d: a file is open", n)
		}
	}
}

// TestPowerCut leaves a name at the worst moment; the next start removes it
// and nothing else.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	s := newSpool(t, fsys)
	if err := durable.WriteFile(fsys, "var/spool/other", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fsys.CutAfter(1) // the file is made, not unlinked
	if _, err := s.Read(bytes.NewReader(octets(5 * chunkSize))); !errors.Is(err, crashfs.ErrPowerCut) {
		t.Fatal(err)
	}
	after := fsys.Crash(crashfs.Everything)
	if names := left(t, after); len(names) != 2 {
		t.Fatalf("the test is no test: names %q", names)
	}
	newSpool(t, after)
	if names := left(t, after); len(names) != 1 || names[0] != "other" {
		t.Errorf("names after the restart: %q", names)
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	if err := durable.WriteFile(fsys, "file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{FS: fsys, Dir: "file"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file in place of the directory: %v", err)
	}
}

// TestMemoryIsBounded holds a hundred messages of 50 MB on a real disk at
// once: the heap may hold no more than a chunk of each.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes much; not with -short")
	}
	const (
		messages = 100
		size     = 50 << 20
		limit    = 64 << 20 // of heap; the issue allows 300 MB for the whole process
	)
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{FS: sparse{root}})
	if err != nil {
		t.Fatal(err)
	}
	// All readers stop before their last octet until every message is there.
	var there, done sync.WaitGroup
	there.Add(messages)
	for range messages {
		done.Go(func() {
			c, err := s.Read(&waitingReader{left: size, wait: func() { there.Done(); there.Wait() }})
			if err != nil {
				t.Error(err)
				return
			}
			if c.Size() != size {
				t.Errorf("size %d", c.Size())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	there.Wait()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapInuse > limit {
		t.Errorf("%d MB of heap for %d messages in flight", m.HeapInuse>>20, messages)
	}
	done.Wait()
	if err := errors.Join(s.Close(), root.Close()); err != nil {
		t.Error(err)
	}
}

// waitingReader gives left octets and waits before the last.
type waitingReader struct {
	left int
	wait func()
}

func (r *waitingReader) Read(p []byte) (int, error) {
	switch {
	case r.left == 0:
		return 0, io.EOF
	case r.left == 1:
		r.wait()
	case len(p) >= r.left:
		p = p[:r.left-1]
	}
	p = p[:min(len(p), r.left)]
	r.left -= len(p)
	return len(p), nil
}

// sparse takes files without writing them, which keeps 5 GB off the disk.
type sparse struct{ durable.FS }

func (s sparse) Sub(name string) (durable.FS, error) {
	sub, err := s.FS.Sub(name)
	return sparse{sub}, err
}

func (s sparse) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	return &sparseFile{File: f}, err
}

type sparseFile struct{ durable.File }

func (*sparseFile) Write(p []byte) (int, error) { return len(p), nil }

// TestRealDisk holds the same on a real file system: no name, right octets.
func TestRealDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := newSpool(t, root)
	want := octets(10 * chunkSize)
	c, err := s.Read(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), want); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(dir + "/var/spool"); err != nil || len(names) != 0 {
		t.Errorf("names %v, %v", names, err)
	}
	if err := errors.Join(c.Close(), s.Close(), root.Close()); err != nil {
		t.Error(err)
	}
}

func BenchmarkRead(b *testing.B) {
	s, err := New(Config{FS: crashfs.New()})
	if err != nil {
		b.Fatal(err)
	}
	content := strings.Repeat("0123456789abcde\n", 256)
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		c, err := s.Read(strings.NewReader(content))
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
