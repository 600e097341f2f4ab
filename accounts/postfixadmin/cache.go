package postfixadmin

import (
	"context"
	"strconv"
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

	mu      sync.Mutex // guards what follows
	answers map[string]answer
	age     uint64 // how often everything was forgotten
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
	v, age, ok := c.get(key)
	if ok {
		return v.(T), nil
	}
	if err := ctx.Err(); err != nil {
		var zero T
		return zero, err
	}
	c.running.Add(1)
	// A question that was under way when everything was forgotten may have the
	// answer of before: nobody who comes later joins it, and it is not kept.
	result := c.flights.DoChan(strconv.FormatUint(age, 36)+" "+key, func() (any, error) {
		v, err := ask(shared)
		if err == nil {
			c.put(key, age, v)
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

// get is the kept answer, and the age of which a new one has to be.
func (c *cache) get(key string) (value any, age uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[key]
	if !ok || !c.now().Before(a.expires) {
		return nil, c.age, false
	}
	return a.value, c.age, true
}

// put keeps an answer to what was asked at that age.
func (c *cache) put(key string, age uint64, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age != c.age {
		return
	}
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
	c.age++
	clear(c.answers)
}

// wait returns when no shared look-up runs any more.
func (c *cache) wait() { c.running.Wait() }
