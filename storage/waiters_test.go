package storage

import "testing"

func TestWaiters(t *testing.T) {
	t.Parallel()
	var w Waiters
	var woken [2]int
	for i := range woken {
		stop := w.Add(func() { woken[i]++ })
		if i == 1 {
			stop()
			stop()
		}
	}
	w.Wake()
	w.Wake()
	if woken != [2]int{1, 0} {
		t.Errorf("woken %v times", woken)
	}
	if len(w.waiting) != 0 {
		t.Errorf("%d still wait", len(w.waiting))
	}
}
