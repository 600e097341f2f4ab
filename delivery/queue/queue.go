package queue

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/internal/durable"
	"gomaild/message"
)

// Config is what a Queue is made of. FS, Agent and Tell are required.
type Config struct {
	FS    durable.FS // the queue's directory, and nobody else's
	Agent Agent

	// Tell tells the sender, durably, what became of recipients; only when it
	// returns nil are those who failed owed no more. It is called for failures of
	// messages with the null reverse-path too, which nobody can be told about.
	Tell func(ctx context.Context, n Notice, e Envelope, c message.Content, to []Outcome) error

	Epoch    uint64 // of this node's turn; part of each ID
	Settings Settings
	Logger   *slog.Logger // default: none
}

// Settings may change while a Queue runs.
type Settings struct {
	Schedule    []time.Duration // waits after the first, second ... attempt; the last repeats. Default 5m 15m 30m 1h 2h 4h
	Lifetime    time.Duration   // after which a recipient is given up; default 5 days (RFC 5321 section 4.5.4.1)
	DelayNotice time.Duration   // after which the sender is told once that a recipient still waits; 0: never
	Concurrency int             // attempts at once; default 100
	PerHost     int             // attempts at once for one destination, at most; default 20
}

func (s Settings) complete() *Settings {
	if len(s.Schedule) == 0 {
		s.Schedule = []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
	}
	if s.Lifetime <= 0 {
		s.Lifetime = 5 * 24 * time.Hour
	}
	if s.Concurrency <= 0 {
		s.Concurrency = 100
	}
	if s.PerHost <= 0 {
		s.PerHost = 20
	}
	return &s
}

// Configure changes the settings. Times of attempts that are planned stay.
func (q *Queue) Configure(s Settings) {
	q.set.Store(s.complete())
	q.poke()
}

// Queue is running from Open to Close. It is safe for concurrent use.
type Queue struct {
	cfg    Config
	set    atomic.Pointer[Settings]
	spool  spool
	log    *slog.Logger
	seed   maphash.Seed
	wake   chan struct{}
	ended  chan struct{}
	loaded chan struct{} // closed when what was there at the start is planned
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	last    int64
	waiting legHeap
	sched   scheduler
	entries map[string]*entry // by ID
	held    int               // of the entries
}

// leg is what one message owes one destination, and due when.
type leg struct {
	msg  *entry
	to   Destination
	next time.Time
}

// entry is a message in memory. mu is held while its envelope changes, and is
// taken before the queue's mu, which guards the fields below it.
type entry struct {
	id     string
	sender uint64 // hash of the reverse-path, to be fair by
	mu     sync.Mutex

	legs   int           // that are not done
	held   bool          // as the envelope says
	gone   bool          // deleted
	parked []Destination // legs of a message that is held
}

// Open lists the queue and starts; envelopes are read while attempts begin
// already. ctx is for all that the queue does until Close. Envelopes that are
// damaged are logged and left alone.
func Open(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	q := newQueue(cfg)
	q.set.Store(cfg.Settings.complete())
	ids, err := q.spool.list()
	if err != nil {
		return nil, fmt.Errorf("load the queue: %w", err)
	}
	ctx, q.cancel = context.WithCancel(ctx)
	q.work.Go(func() { q.load(ctx, ids) })
	go q.run(ctx)
	return q, nil
}

func newQueue(cfg Config) *Queue {
	return &Queue{
		cfg: cfg, spool: spool{cfg.FS}, log: cfg.Logger, seed: maphash.MakeSeed(),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), loaded: make(chan struct{}),
		sched: scheduler{lines: make(map[Destination]*line)}, entries: make(map[string]*entry),
	}
}

func (q *Queue) newEntry(e *Envelope) *entry {
	return &entry{id: e.ID, sender: maphash.Comparable(q.seed, e.From.Address.Fold())}
}

// Close ends the attempts and returns when no file is open. What was under way
// is tried again at the next Open.
func (q *Queue) Close() {
	q.cancel()
	<-q.ended
	q.work.Wait()
}

// Add takes responsibility: when it returns nil, the message survives a power
// cut, and its first attempt begins at once. ID, Arrived, Size and Digest are
// the queue's to set. The ID is returned.
func (q *Queue) Add(e Envelope, c message.Content) (string, error) {
	if len(e.To) == 0 {
		return "", errors.New("queue a message: no recipients")
	}
	e.ID, e.Arrived = q.newID(), time.Now()
	for i := range e.To {
		e.To[i].Next = e.Arrived
	}
	m := q.newEntry(&e)
	m.mu.Lock() // who finds the envelope waits for the plan
	defer m.mu.Unlock()
	q.mu.Lock()
	q.entries[e.ID] = m
	q.mu.Unlock()
	err := q.spool.add(&e, c)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		delete(q.entries, e.ID)
		return "", err
	}
	q.plan(m, &e)
	q.poke()
	return e.ID, nil
}

// newID is unlike all before: the epoch tells nodes apart, the time processes.
func (q *Queue) newID() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = max(q.last+1, time.Now().UnixNano())
	return strconv.FormatUint(q.cfg.Epoch, 36) + "-" + strconv.FormatInt(q.last, 36)
}

// plan notes the legs of a message.
func (q *Queue) plan(m *entry, e *Envelope) {
	if m.held = e.Held; m.held {
		q.held++
	}
	met := make(map[Destination]bool, 1)
	for _, r := range e.To {
		if !met[r.Destination] {
			met[r.Destination] = true
			m.legs++
			q.push(leg{m, r.Destination, q.due(r.Next)})
		}
	}
}

// due is when an attempt is made that was planned for next, perhaps by a process
// whose clock was another: a clock that was set back makes nobody wait longer than
// the schedule does.
func (q *Queue) due(next time.Time) time.Time {
	now := time.Now()
	if next.After(now.Add(max(slices.Max(q.set.Load().Schedule), retryFault))) {
		return now
	}
	return next
}

// push lets a leg wait for its time, or for the release of its message.
func (q *Queue) push(l leg) {
	switch {
	case l.msg.gone:
	case l.msg.held:
		l.msg.parked = append(l.msg.parked, l.to)
	default:
		heap.Push(&q.waiting, l)
	}
}

func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run starts what is due until ctx ends.
func (q *Queue) run(ctx context.Context) {
	defer close(q.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(q.start(ctx))
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// start starts all that may begin now and returns how long nothing more can.
func (q *Queue) start(ctx context.Context) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	set := q.set.Load()
	now := time.Now()
	for len(q.waiting) > 0 && !q.waiting[0].next.After(now) {
		q.sched.ready(heap.Pop(&q.waiting).(leg))
	}
	for {
		l, suspended, ok := q.sched.next(set, now)
		if !ok {
			break
		}
		if l.msg.held || l.msg.gone {
			q.sched.unused(l.to)
			q.push(l)
			continue
		}
		q.work.Go(func() { q.attempt(ctx, l, suspended) })
	}
	if len(q.waiting) == 0 {
		return time.Hour
	}
	return q.waiting[0].next.Sub(now)
}

// Stats is how a queue is at this moment.
type Stats struct {
	Messages     int // those on hold too
	Held         int
	Waiting      int // destinations of messages whose next attempt is not due
	Running      int // attempts under way
	Destinations int // with attempts due or under way, or that did not answer
}

// Stats costs nothing.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Messages: len(q.entries), Held: q.held, Waiting: len(q.waiting), Running: q.sched.running, Destinations: len(q.sched.lines)}
}

// legHeap has the leg that is due first in front.
type legHeap []leg

func (h legHeap) Len() int           { return len(h) }
func (h legHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h legHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *legHeap) Push(x any) { *h = append(*h, x.(leg)) }

// Pop implements heap.Interface.
func (h *legHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = leg{}
	*h = (*h)[:last]
	return l
}
