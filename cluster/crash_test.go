package cluster

import (
	"errors"
	"testing"

	"gomaild/internal/durable/crashfs"
)

// TestCrash cuts the power after each operation of a start, and holds that the
// next start works, that no epoch is given out twice and that the cluster stays
// the same.
func TestCrash(t *testing.T) {
	t.Parallel()
	for before := range uint64(4) {
		for _, survival := range crashfs.Survivals() {
			for cut := int64(0); ; cut++ {
				fsys := crashfs.New()
				given, id := starts(t, fsys, before)
				fsys.CutAfter(cut)
				h, err := Take(on(fsys, "mail1"))
				if err == nil {
					given, id = h.Record().Epoch, h.ID()
				} else if !errors.Is(err, crashfs.ErrPowerCut) {
					t.Fatalf("cut after %d: %v", cut, err)
				}
				checkNext(t, fsys.Crash(survival), given, id)
				if err == nil {
					break
				}
			}
		}
	}
}

// starts is so many clean starts; the last epoch and the id.
func starts(t *testing.T, fsys *crashfs.FS, n uint64) (epoch uint64, id string) {
	t.Helper()
	for range n {
		h, err := Take(on(fsys, "mail1"))
		if err != nil {
			t.Fatal(err)
		}
		epoch, id = h.Record().Epoch, h.ID()
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
	}
	return epoch, id
}

func checkNext(t *testing.T, fsys *crashfs.FS, given uint64, id string) {
	t.Helper()
	h, err := Take(on(fsys, "mail2"))
	if err != nil {
		t.Fatalf("after epoch %d: %v", given, err)
	}
	if got := h.Record().Epoch; got <= given {
		t.Errorf("epoch %d was given out, and now %d", given, got)
	}
	if id != "" && h.ID() != id {
		t.Errorf("the cluster was %s and is %s", id, h.ID())
	}
	if err := h.Fence(); err != nil {
		t.Error(err)
	}
}
