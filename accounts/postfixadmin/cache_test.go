package postfixadmin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/accounts"
)

// counter is a look-up that counts how often it is asked.
type counter struct {
	mu    sync.Mutex
	asked int // guarded by mu
	err   error
	hold  chan struct{} // not nil: answers wait for it
}

func (c *counter) ask(ctx context.Context) (int, error) {
	c.mu.Lock()
	c.asked++
	n := c.asked
	c.mu.Unlock()
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return n, c.err
}

func TestCacheKeeps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		ttl  time.Duration
		wait time.Duration
		err  error
		want int // questions after two look-ups
	}{
		{"a yes is kept", 2 * time.Second, 2*time.Second - 1, nil, 1},
		{"for its time only", 2 * time.Second, 2 * time.Second, nil, 2},
		{"a no is never kept", 2 * time.Second, 0, accounts.ErrNotFound, 2},
		{"nor is a fault", 2 * time.Second, 0, errors.New("database down"), 2},
		{"switched off", -1, 0, nil, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, q := newCache(tt.ttl, 10, time.Now), &counter{err: tt.err}
			for range 2 {
				if _, err := cached(t.Context(), t.Context(), c, "k", q.ask); !errors.Is(err, tt.err) {
					t.Errorf("%s: %v", tt.rule, err)
				}
				time.Sleep(tt.wait)
			}
			if q.asked != tt.want {
				t.Errorf("%s: asked %d times, want %d", tt.rule, q.asked, tt.want)
			}
		})
	}
}

// TestCacheJoins: equal look-ups at the same time are one question, and the
// impatience of one caller is not the others'.
func TestCacheJoins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, q := newCache(time.Second, 10, time.Now), &counter{hold: make(chan struct{})}
		hurried, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 3)
		for _, ctx := range []context.Context{hurried, t.Context(), t.Context()} {
			go func() {
				_, err := cached(ctx, t.Context(), c, "k", q.ask)
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that gave up: %v", err)
		}
		close(q.hold)
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		c.wait()
		if q.asked != 1 {
			t.Errorf("asked %d times", q.asked)
		}
	})
}

// TestForgetDuringLookup: the table changes while a question is under way. Its
// answer may be that of before, so it is neither kept nor given to who asks later.
func TestForgetDuringLookup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, q := newCache(time.Hour, 10, time.Now), &counter{hold: make(chan struct{})}
		got := make(chan int, 2)
		ask := func() {
			n, err := cached(t.Context(), t.Context(), c, "k", q.ask)
			if err != nil {
				t.Error(err)
			}
			got <- n
		}
		go ask()
		synctest.Wait()
		c.forget()
		go ask()
		synctest.Wait()
		close(q.hold)
		if a, b := <-got, <-got; a+b != 3 {
			t.Errorf("before and after were told %d and %d", a, b)
		}
		ask()
		if n := <-got; n != 2 {
			t.Errorf("the answer %d is kept, not that of after the change", n)
		}
		c.wait()
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c, q := newCache(time.Hour, 8, time.Now), &counter{}
	for i := range 100 {
		if _, err := cached(t.Context(), t.Context(), c, fmt.Sprint(i), q.ask); err != nil {
			t.Fatal(err)
		}
		if len(c.answers) > 8 {
			t.Fatalf("%d answers are kept", len(c.answers))
		}
	}
}
