package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// What a start reads while the server serves already: so many envelopes at once,
// for a disk whose cache is empty after a failover, and the plan hears of so many
// together.
const (
	loaders   = 4
	loadBatch = 64
)

// load plans the messages that were there at the start, in order of arrival.
// Nobody waits for it but who changes the queue by hand. What the disk does not
// give is asked for again every retryFault, until ctx ends.
func (q *Queue) load(ctx context.Context, ids []string) {
	failed := q.loadEach(ctx, ids)
	close(q.loaded)
	for len(failed) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryFault):
		}
		failed = q.loadEach(ctx, failed)
	}
}

// loadEach reads envelopes until ctx ends, and returns the IDs of those that the
// disk did not give.
func (q *Queue) loadEach(ctx context.Context, ids []string) (failed []string) {
	var (
		loading sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex // guards failed
	)
	for range min(loaders, len(ids)) {
		loading.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(ids) {
					return
				}
				if err := q.loadOne(ids[i]); err != nil {
					q.log.Error("message in the queue cannot be read, and is tried again", "queue_id", ids[i], "again", retryFault, "error", err)
					mu.Lock()
					failed = append(failed, ids[i])
					mu.Unlock()
				}
				if i%loadBatch == 0 {
					q.poke()
				}
			}
		})
	}
	loading.Wait()
	q.poke()
	return failed
}

// loadOne plans one message. An error is the disk's.
func (q *Queue) loadOne(id string) error {
	e, err := q.spool.owed(id)
	switch {
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, ErrDamaged):
		q.log.Error("message left in the queue", "queue_id", id, "error", err)
		return nil
	case err != nil:
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.newEntry(e)
	q.entries[id] = m
	q.plan(m, e)
	return nil
}
