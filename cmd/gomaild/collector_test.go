package main

import "testing"

func TestGCPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 16 << 20: 400, 20 << 20: 320, 40 << 20: 160, 60 << 20: 100, 64 << 20: 100, 1 << 32: 100} {
		if got := gcPercentFor(live); got != want {
			t.Errorf("%d MB live: %d, want %d", live>>20, got, want)
		}
	}
}
