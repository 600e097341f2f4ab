package storage

import "sync"

// Waiters are functions that want to be called at the next change. The zero value
// has none; it is safe for concurrent use.
type Waiters struct {
	mu      sync.Mutex
	waiting map[*waiter]struct{}
}

type waiter struct{ wake func() }

// Add makes wake one of them, until it was called or stop is.
func (w *Waiters) Add(wake func()) (stop func()) {
	one := &waiter{wake}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[*waiter]struct{}{}
	}
	w.waiting[one] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.waiting, one); len(w.waiting) == 0 {
			w.waiting = nil // a map keeps the room that it once needed
		}
	}
}

// Wake calls all of them, and each only once.
func (w *Waiters) Wake() {
	w.mu.Lock()
	waiting := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	for one := range waiting {
		one.wake()
	}
}
