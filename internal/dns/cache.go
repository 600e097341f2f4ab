package dns

import (
	"context"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How long an answer is kept, whatever its TTL says.
const (
	maxKeep      = time.Hour
	maxKeepNone  = 5 * time.Minute
	cacheEntries = 10000
)

// cache remembers answers and denials, never faults.
type cache struct {
	next *client
	size int

	mu      sync.Mutex
	entries map[question]entry
}

type question struct {
	name  string
	qtype uint16
}

type entry struct {
	answer Answer
	err    error
	until  time.Time
}

func newCache(next *client, size int) *cache {
	if size == 0 {
		size = cacheEntries
	}
	return &cache{next: next, size: size, entries: map[question]entry{}}
}

// Query implements Resolver. Callers share the records and must not change
// them.
func (c *cache) Query(ctx context.Context, name string, qtype uint16) (Answer, error) {
	q := question{dns.CanonicalName(name), qtype}
	c.mu.Lock()
	e, ok := c.entries[q]
	c.mu.Unlock()
	if ok && time.Now().Before(e.until) {
		return e.answer, e.err
	}
	a, keep, err := c.next.query(ctx, name, qtype)
	if keep > 0 && (err == nil || IsNone(err)) {
		c.put(q, entry{a, err, time.Now().Add(keep)})
	}
	return a, err
}

// put makes room by forgetting any other entry: the order of a map is random
// enough that an attacker cannot choose what goes.
func (c *cache) put(q question, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.entries {
		if len(c.entries) < c.size {
			break
		}
		delete(c.entries, other)
	}
	c.entries[q] = e
}
