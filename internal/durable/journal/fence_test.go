package journal_test

import (
	"errors"
	"slices"
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/journal"
)

// TestFence holds that a journal whose owner was taken over from writes nothing
// more and takes nothing off the disk: both files are the new owner's.
func TestFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.journal.Close(); err != nil {
		t.Fatal(err)
	}
	var stale error
	errStale := errors.New("taken over")
	c := config(w.disk)
	c.Fence = func() error { return stale }
	j, err := journal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	w.journal = j
	if err := w.deliver("m", "1", 100); err != nil {
		t.Fatal(err)
	}
	stale = errStale
	w.disk.Inject(func(o crashfs.Op) error {
		if slices.Contains([]string{"writeat", "remove", "truncate"}, o.Kind) {
			t.Errorf("%s of %s", o.Kind, o.Name)
		}
		return nil
	})
	if err := w.deliver("m", "2", 100); !errors.Is(err, journal.ErrDirect) {
		t.Errorf("a delivery: %v", err)
	}
	if err := j.Forget("m", "1"); !errors.Is(err, errStale) {
		t.Errorf("an expunge: %v", err)
	}
	if err := j.Close(); !errors.Is(err, errStale) {
		t.Errorf("the end: %v", err)
	}
	if n := w.disk.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	w.disk.Inject(nil)
	delete(w.tried, "m 2")
	for _, s := range crashfs.Survivals() {
		w.restart(t, s.String(), w.disk.Crash(s))
	}
}
