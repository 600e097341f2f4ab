// Package rate counts what clients, senders and accounts do, so that each can
// be held to a limit. A limit of N in a time lets through N in any stretch of that
// time, however the events lie: who sent 300 of "300/1h" at once may send again
// when an hour is over.
//
// Events that lie close together, within an eighth of the time, are remembered as
// one group, and forgotten together when the last of them is old enough. So a key
// costs a few groups at most, no limit is ever exceeded, and room comes back
// by an eighth of the time later than with an exact count, at the worst.
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

// DefaultKeys is how many keys a Table holds: about 20 MB with keys of usual
// length that were used once, three times as much where all are in steady use.
const DefaultKeys = 100_000

// parts is how many groups begin within the time of a limit, at most.
const parts = 8

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

	mu      sync.Mutex
	used    map[string]*entry // guarded by mu
	changes uint64            // guarded by mu
}

// entry is what a key used, the oldest group first.
type entry struct {
	limit  Limit
	groups []group
}

// group is events of which the first and the last lie less than a part of the
// limit's time apart. Times are in milliseconds since 1970, rounded up.
type group struct {
	first, last int64
	n           int
}

// NewTable is a Table of at most max keys, DefaultKeys if that is 0. When it is
// full the key that has used the least of a few is forgotten: whoever fills it
// pushes out others of the same kind, and not who is over a limit.
func NewTable(max int) *Table {
	if max <= 0 {
		max = DefaultKeys
	}
	return &Table{max: max, used: make(map[string]*entry)}
}

// Take counts one event against all of the uses, or, when one of them has no
// room, against none, and says how long until there is room in each: 0 means
// that it was counted.
func (t *Table) Take(now time.Time, uses ...Use) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := millis(now)
	for _, u := range uses {
		if e := t.used[u.Key]; e != nil && !u.Limit.IsZero() {
			wait = max(wait, e.wait(at, u.Limit))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, u := range uses {
		if !u.Limit.IsZero() {
			t.put(at, u)
		}
	}
	return 0
}

func millis(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// wait is how long until a limit has room for one event more.
func (e *entry) wait(now int64, l Limit) time.Duration {
	sum := 0
	for _, g := range e.groups {
		if g.last+l.Per.Milliseconds() > now {
			sum += g.n
		}
	}
	for _, g := range e.groups {
		if sum < l.N {
			break
		}
		if until := g.last + l.Per.Milliseconds(); until > now {
			if sum -= g.n; sum < l.N {
				return time.Duration(until-now) * time.Millisecond
			}
		}
	}
	return 0
}

// put counts an event.
func (t *Table) put(now int64, u Use) {
	t.changes++
	e := t.used[u.Key]
	if e == nil {
		if len(t.used) >= t.max {
			t.makeRoom(now)
		}
		e = &entry{}
		t.used[u.Key] = e
	}
	e.limit = u.Limit
	e.forget(now)
	if i := len(e.groups) - 1; i >= 0 && now-e.groups[i].first < max(u.Limit.Per.Milliseconds()/parts, 1) {
		e.groups[i].last, e.groups[i].n = max(e.groups[i].last, now), e.groups[i].n+1
		return
	}
	e.groups = append(e.groups, group{now, now, 1})
}

// forget drops the groups that count no more.
func (e *entry) forget(now int64) {
	old := 0
	for old < len(e.groups) && e.groups[old].last+e.limit.Per.Milliseconds() <= now {
		old++
	}
	e.groups = append(e.groups[:0], e.groups[old:]...)
}

// isOver reports that nothing of an entry counts any more.
func (e *entry) isOver(now int64) bool {
	return len(e.groups) == 0 || e.groups[len(e.groups)-1].last+e.limit.Per.Milliseconds() <= now
}

// share is how much of its limit a key has used, in thousandths.
func (e *entry) share() int {
	sum := 0
	for _, g := range e.groups {
		sum += g.n
	}
	return int(min(int64(sum)*1000/int64(max(e.limit.N, 1)), 1000))
}

// samples is how many keys are looked at to find one to forget. Those whose
// time is over cost nothing, and go all together.
const samples = 16

// makeRoom forgets keys. The order of a map is random, which is enough of a
// choice.
func (t *Table) makeRoom(now int64) {
	least, leastShare := "", 0
	seen := 0
	for key, e := range t.used {
		if e.isOver(now) {
			delete(t.used, key)
		} else if share := e.share(); least == "" || share < leastShare {
			least, leastShare = key, share
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
	e := t.used[key]
	return e != nil && !e.isOver(millis(now))
}

// Forget forgets all that a key used.
func (t *Table) Forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes++
	delete(t.used, key)
}

// Changes is another number whenever something was counted or forgotten since.
func (t *Table) Changes() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes
}

// Text is what is known at a time, one key a line, for Restore: the limit's time,
// the key, and for each group first, last and number; times in milliseconds.
func (t *Table) Text(now time.Time) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b []byte
	for key, e := range t.used {
		if e.isOver(millis(now)) {
			continue
		}
		b = fmt.Appendf(b, "%d %d %q", e.limit.N, e.limit.Per.Milliseconds(), key)
		for _, g := range e.groups {
			b = fmt.Appendf(b, " %d %d %d", g.first, g.last, g.n)
		}
		b = append(b, '\n')
	}
	return b
}

// Restore adds what Text has written; a line that cannot be read ends it.
func (t *Table) Restore(now time.Time, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		key, e := parseEntry(strings.TrimSuffix(line, "\n"))
		if e == nil || len(t.used) >= t.max {
			return
		}
		if e.forget(millis(now)); len(e.groups) > 0 {
			t.used[key] = e
		}
	}
}

// parseEntry reads a line of Text; nil if it is none.
func parseEntry(line string) (key string, e *entry) {
	open, rest, _ := strings.Cut(line, " \"")
	quoted, err := strconv.QuotedPrefix("\"" + rest)
	if err != nil {
		return "", nil
	}
	key, err = strconv.Unquote(quoted)
	numbers, ok := parseNumbers(open + rest[len(quoted)-1:])
	if err != nil || !ok || len(numbers) < 5 || len(numbers) > 2+3*(parts+2) || len(numbers)%3 != 2 || numbers[0] > maxNumber {
		return "", nil
	}
	e = &entry{limit: Limit{int(numbers[0]), time.Duration(numbers[1]) * time.Millisecond}}
	for g := numbers[2:]; len(g) > 0; g = g[3:] {
		if g[0] > g[1] || g[2] > maxNumber {
			return "", nil
		}
		e.groups = append(e.groups, group{g[0], g[1], int(g[2])})
	}
	return key, e
}

// maxNumber bounds a limit and a count that are read, and maxTime a time: both are
// added up.
const (
	maxNumber = 1 << 30
	maxTime   = 1 << 42 // milliseconds, to the year 2109
)

func parseNumbers(s string) (all []int64, ok bool) {
	for field := range strings.FieldsSeq(s) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 1 || n > maxTime {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

// Len is how many keys are held.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.used)
}
