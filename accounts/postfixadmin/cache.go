package postfixadmin

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// cache keeps positive answers for a moment and joins equal look-ups that run
// at the same time, so that a message to a list of two hundred does not ask
// for the domain two hundred times. A "no" is never kept, nor is an error.
type cache struct {
	ttl  time.Duration // negative: keep and join nothing
	size int
	now  func() time.Time

	flights singleflight.Group
	running sync.WaitGroup

	mu      sync.Mutex
	answers map[string]answer // guarded by mu
}

type answer struct {
	value   any
	expires time.Time
}

func newCache(ttl time.Duration, size int, now func() time.Time) *cache {
	return &cache{ttl: ttl, size: size, now: now, answers: make(map[string]answer)}
}

// cached is the kept answer for key, or that of ask. ask runs with the
// context shared, since other callers may be waiting for it too; ctx ends only
// this caller's wait.
func cached[T any](ctx, shared context.Context, c *cache, key string, ask func(context.Context) (T, error)) (T, error) {
	if c.ttl < 0 {
		return ask(ctx)
	}
	if v, ok := c.get(key); ok {
		return v.(T), nil
	}
	if err := ctx.Err(); err != nil {
		var zero T
		return zero, err
	}
	c.running.Add(1)
	result := c.flights.DoChan(key, func() (any, error) {
		v, err := ask(shared)
		if err == nil {
			c.put(key, v)
		}
		return v, err
	})
	var zero T
	select {
	case r := <-result:
		c.running.Done()
		if r.Err != nil {
			return zero, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		go func() { <-result; c.running.Done() }()
		return zero, context.Cause(ctx)
	}
}

func (c *cache) get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[key]
	if !ok || !c.now().Before(a.expires) {
		return nil, false
	}
	return a.value, true
}

func (c *cache) put(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.answers[key]; !known && len(c.answers) >= c.size {
		c.makeRoom()
	}
	c.answers[key] = answer{value, c.now().Add(c.ttl)}
}

// makeRoom drops what has expired or, when nothing has, everything: with a
// life of seconds that is cheaper than keeping an order.
func (c *cache) makeRoom() {
	now := c.now()
	for k, a := range c.answers {
		if !now.Before(a.expires) {
			delete(c.answers, k)
		}
	}
	if len(c.answers) >= c.size {
		clear(c.answers)
	}
}

// forget drops every answer: the tables were changed through this DB.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.answers)
}

// wait returns when no shared look-up runs any more.
func (c *cache) wait() { c.running.Wait() }
