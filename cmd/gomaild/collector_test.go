package main

import (
	"runtime"
	"testing"
	"time"
)

func TestGCPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 16 << 20: 400, 20 << 20: 320, 40 << 20: 160, 60 << 20: 100, 64 << 20: 100, 1 << 32: 100} {
		if got := gcPercentFor(live); got != want {
			t.Errorf("%d MB live: %d, want %d", live>>20, got, want)
		}
	}
}

// TestFollowHeap: each collection is heard of, however many there are.
func TestFollowHeap(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{}, 1)
	onCollection(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	for i := range 3 {
		runtime.GC()
		select {
		case <-heard:
		case <-time.After(20 * time.Second):
			t.Fatalf("collection %d was not heard of", i)
		}
	}
}
