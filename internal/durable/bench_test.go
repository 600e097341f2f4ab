package durable_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gomaild/internal/durable"
)

// boxes is how many directories the messages go to, as in the target.
const boxes = 200

// BenchmarkDelivery writes messages as a Maildir delivery does (file, sync,
// rename, sync of the directory) through durable, and in the same run, in turns
// with it, through a bare loop of system calls. It reports both rates and their
// ratio: the whole delivery must reach 0.7 of the bare loop up to 32 callers
// and 1.0 at 64, so this layer must be well above that.
//
// All work in one tree, removed at the end: how fast ext4 makes a file depends
// on what was deleted lately in the block group of its directory.
func BenchmarkDelivery(b *testing.B) {
	t := newTree(b)
	makeBoxes(b, t.path)
	for _, size := range []int{4 << 10, 20 << 10} {
		for _, callers := range []int{1, 8, 32, 64} {
			b.Run(fmt.Sprintf("size=%d/callers=%d", size, callers), func(b *testing.B) {
				benchmarkDelivery(b, t, size, callers)
			})
		}
	}
}

func benchmarkDelivery(b *testing.B, t tree, size, callers int) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte('a' + i%23)
	}
	bare, ours := bareLoop{t.path}, durableLoop{t}
	run := time.Now().UnixNano()

	var spent [2]time.Duration
	const turns = 8
	per := max(b.N/turns, callers)
	seq := 0
	for range turns {
		spent[0] += deliverAll(b, callers, per, seq, func(box, name string) error { return bare.deliver(box, fmt.Sprintf("%d.bare.%s", run, name), data) })
		spent[1] += deliverAll(b, callers, per, seq, func(box, name string) error { return ours.deliver(box, fmt.Sprintf("%d.ours.%s", run, name), data) })
		seq += per
	}
	n := float64(turns * per)
	b.ReportMetric(n/spent[0].Seconds(), "bare/s")
	b.ReportMetric(n/spent[1].Seconds(), "durable/s")
	b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}

// deliverAll lets callers deliver n messages and says how long it took.
func deliverAll(b *testing.B, callers, n, first int, deliver func(box, name string) error) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				k := first + int(i)
				if err := deliver(fmt.Sprint(k%boxes), fmt.Sprint(k)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func makeBoxes(b *testing.B, dir string) {
	for i := range boxes {
		for _, sub := range []string{"tmp", "new"} {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), sub), 0o700); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// bareLoop is what the kernel gives to a program that does nothing else.
type bareLoop struct{ dir string }

func (l bareLoop) deliver(box, name string, data []byte) error {
	temp := filepath.Join(l.dir, box, "tmp", name)
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	newDir := filepath.Join(l.dir, box, "new")
	if err := os.Rename(temp, filepath.Join(newDir, name)); err != nil {
		return err
	}
	dir, err := os.Open(newDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

type tree struct {
	*durable.Root
	path string
}

func newTree(b *testing.B) tree {
	dir := b.TempDir()
	r, err := durable.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return tree{r, dir}
}

type durableLoop struct{ root tree }

func (l durableLoop) deliver(box, name string, data []byte) error {
	temp := box + "/tmp/" + name
	f, err := l.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := l.root.Rename(temp, box+"/new/"+name); err != nil {
		return err
	}
	return l.root.SyncDir(box + "/new")
}
