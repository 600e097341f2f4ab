package drill

import (
	"context"
	"sync"
	"time"
)

// broken is the time between two answers that ends a steady service.
const broken = time.Second

// watch measures the gaps between a service's answers.
type watch struct {
	mu    sync.Mutex
	last  time.Time // of the last answer, zero before the first
	whole time.Time // the first answer since the last gap of broken
	gap   time.Duration
}

func newWatch() *watch { return &watch{} }

// keep probes every so often until ctx ends.
func (w *watch) keep(every time.Duration, probe func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if probe(ctx) == nil {
				w.answered(time.Now())
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}
}

func (w *watch) answered(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.IsZero() {
		w.last, w.whole = now, now
		return
	}
	since := now.Sub(w.last)
	w.gap = max(w.gap, since)
	if since >= broken {
		w.whole = now
	}
	w.last = now
}

// reset forgets the gaps, not the last answer.
func (w *watch) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap = 0
}

// longest gap since reset, one that goes on included.
func (w *watch) longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.gap, time.Since(w.last))
}

// steady tells whether the service has answered, gaps below broken, for d
// since the later of since and the end of its last gap.
func (w *watch) steady(since time.Time, d time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.IsZero() || time.Since(w.last) >= broken {
		return false
	}
	if w.whole.After(since) {
		since = w.whole
	}
	return w.last.Sub(since) >= d
}
