package postfixadmin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"gomaild/accounts"
)

// TestTurns: who waits for a connection gets it in the order of coming. Who gets none
// in time is told so, and not that the database is away; who leaves holds nobody up.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slow, patience = time.Second, 10 * time.Second
		db := &DB{config: Config{LookupTimeout: patience}, turns: semaphore.NewWeighted(2)}
		var mu sync.Mutex
		var served []int // in their order, since no two begin at one instant
		late := make(chan error, 100)
		left, cancel := context.WithCancel(t.Context())
		for i := range 30 {
			ctx := t.Context()
			if i == 5 {
				ctx = left
			}
			go func() {
				late <- db.retry(ctx, func(context.Context) error {
					mu.Lock()
					served = append(served, i)
					mu.Unlock()
					time.Sleep(slow)
					return nil
				})
			}()
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		cancel()
		busy, gone := 0, 0
		for range 30 {
			switch err := <-late; {
			case errors.Is(err, context.Canceled):
				gone++
			case errors.Is(err, accounts.ErrBusy):
				busy++
			case err != nil:
				t.Error(err)
			}
		}
		if !slices.IsSorted(served) || len(served)+busy+gone != 30 || gone != 1 || busy == 0 || len(served) < 10 {
			t.Errorf("served %v, %d got no turn, %d left", served, busy, gone)
		}
	})
}
