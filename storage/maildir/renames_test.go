package maildir

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestScanDuringRenames holds that no message counts as expunged because a scan
// missed it: readdir(3) may pass over a file that is renamed meanwhile. Another
// program changes flags all the time; every message must stay.
func TestScanDuringRenames(t *testing.T) {
	t.Parallel()
	const messages = 400
	dir := t.TempDir()
	b := newBox(t, Config{FS: newRoot(t, dir), Hostname: "here"})
	defer b.close()
	for range messages {
		b.must(b.Deliver(t.Context(), storagetest.Draft("a")))
	}
	first := b.quiet()

	cur := filepath.Join(dir, alice, "cur")
	stop := make(chan struct{})
	var renamer sync.WaitGroup
	renamer.Go(func() {
		for {
			names, err := os.ReadDir(cur)
			if err != nil {
				t.Error(err)
			}
			for _, entry := range names {
				base, flags, _ := strings.Cut(entry.Name(), flagMark)
				flags = map[string]string{"": "S", "S": "FS", "FS": ""}[flags]
				// A name from readdir may be one that is gone.
				_ = os.Rename(filepath.Join(cur, entry.Name()), filepath.Join(cur, base+flagMark+flags))
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 100 {
		v := b.quiet()
		if len(v.Messages) != messages || v.UIDNext != first.UIDNext {
			t.Errorf("%d messages of %d, next UID %d after %d", len(v.Messages), messages, v.UIDNext, first.UIDNext)
			break
		}
	}
	close(stop)
	renamer.Wait()
	if v := b.quiet(); !slices.EqualFunc(v.Messages, first.Messages, func(a, b storage.Message) bool { return a.UID == b.UID }) {
		t.Error("messages have other UIDs now")
	}
}
