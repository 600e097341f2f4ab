// Package rate counts what clients, senders and accounts do, so that each can
// be held to a limit. A limit of N in a time lets N come at once, and then as
// many as N in that time make: after 300 of "300/1h" the next may come every
// 12 seconds. So nobody is shut out for the rest of an hour, and nobody gets
// more than N above the rate, whenever it is measured.
//
// What is known lies in memory and is bounded. Text and Restore carry it over a
// restart; without them everybody begins anew.
package rate

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultKeys is how many keys a Table holds: about 15 MB with keys of usual
// length.
const DefaultKeys = 100_000

// Limit is N events in Per. The zero Limit is no limit.
type Limit struct {
	N   int
	Per time.Duration
}

// IsZero reports that l limits nothing.
func (l Limit) IsZero() bool { return l.N <= 0 || l.Per <= 0 }

// Use is one event that counts against a limit of a key. The key holds what is
// limited and whose it is; limits for the same events of different length need
// different keys.
type Use struct {
	Key   string
	Limit Limit
}

// Table holds what has been used. It is safe for concurrent use.
type Table struct {
	max int

	mu   sync.Mutex
	used map[string]time.Time // when all that a key used will be forgotten; guarded by mu
}

// NewTable is a Table of at most max keys, DefaultKeys if that is 0. When it is
// full the key that has used the least of a few is forgotten: whoever fills it
// pushes out others of the same kind, and not who is over a limit.
func NewTable(max int) *Table {
	if max <= 0 {
		max = DefaultKeys
	}
	return &Table{max: max, used: make(map[string]time.Time)}
}

// Take counts one event against all of the uses, or, when one of them has no
// room, against none, and says how long until there is room in each: 0 means
// that it was counted.
//
// A key's time lies ahead of now by the part of Per that its events have used
// (the generic cell rate algorithm): nothing has to be counted down.
func (t *Table) Take(now time.Time, uses ...Use) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range uses {
		if !u.Limit.IsZero() {
			wait = max(wait, t.next(now, u).Sub(now)-u.Limit.Per)
		}
	}
	if wait > 0 {
		return wait
	}
	for _, u := range uses {
		if !u.Limit.IsZero() {
			t.put(now, u.Key, t.next(now, u))
		}
	}
	return 0
}

// next is the time of a key after one more event.
func (t *Table) next(now time.Time, u Use) time.Time {
	at := t.used[u.Key]
	if at.Before(now) {
		at = now
	}
	return at.Add(u.Limit.Per / time.Duration(u.Limit.N))
}

func (t *Table) put(now time.Time, key string, at time.Time) {
	if _, known := t.used[key]; !known && len(t.used) >= t.max {
		t.makeRoom(now)
	}
	t.used[key] = at
}

// samples is how many keys are looked at to find one to forget. Those whose
// time is over cost nothing, and go all together.
const samples = 16

// makeRoom forgets keys. The order of a map is random, which is enough of a
// choice.
func (t *Table) makeRoom(now time.Time) {
	var least string
	var leastAt time.Time
	seen := 0
	for key, at := range t.used {
		if !at.After(now) {
			delete(t.used, key)
		} else if leastAt.IsZero() || at.Before(leastAt) {
			least, leastAt = key, at
		}
		if seen++; seen == samples {
			break
		}
	}
	if len(t.used) >= t.max {
		delete(t.used, least)
	}
}

// Uses reports that what a key used is not all forgotten yet.
func (t *Table) Uses(now time.Time, key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used[key].After(now)
}

// Forget forgets all that a key used.
func (t *Table) Forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.used, key)
}

// Text is what is known at a time, one key a line, for Restore.
func (t *Table) Text(now time.Time) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b []byte
	for key, at := range t.used {
		if at.After(now) {
			b = fmt.Appendf(b, "%d %q\n", at.UnixMilli(), key)
		}
	}
	return b
}

// Restore adds what Text has written; a line that cannot be read ends it.
func (t *Table) Restore(now time.Time, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		when, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		ms, err := strconv.ParseInt(when, 10, 64)
		key, keyErr := strconv.Unquote(quoted)
		if err != nil || keyErr != nil || len(t.used) >= t.max {
			return
		}
		if at := time.UnixMilli(ms); at.After(now) {
			t.used[key] = at
		}
	}
}

// Len is how many keys are held.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.used)
}
