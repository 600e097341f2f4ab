package queue

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"gomaild/internal/durable"
	"gomaild/message"
)

// Action is what a person does to messages in the queue.
type Action string

// The actions.
const (
	Hold    Action = "hold"    // no more attempts, and no giving up
	Release Action = "release" // from hold; the next attempt is made at once
	Retry   Action = "retry"   // the next attempt is made at once, unless the message is held
	Delete  Action = "delete"  // it is owed no more, and nobody is told
)

// ErrAction means that there is no such action.
var ErrAction = errors.New("no action of the queue")

// List reads the envelopes that a queue's directory holds, in order of arrival,
// also beside a running Queue. An error that is ErrDamaged is about one message
// of a whole queue; after another one the list ends.
func List(fsys durable.FS, s Selection) iter.Seq2[*Envelope, error] {
	return func(yield func(*Envelope, error) bool) {
		now := time.Now()
		ids, err := spool{fsys}.chosen(s)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, id := range ids {
			e, err := spool{fsys}.owed(id)
			switch {
			case errors.Is(err, errGone) || err == nil && !s.fits(e, now):
				continue
			case !yield(e, err) || err != nil && !errors.Is(err, ErrDamaged):
				return
			}
		}
	}
}

// Content is the content of a queued message, open until Close.
type Content interface {
	message.Content
	io.Closer
}

// Read opens one message. Errors: ErrDamaged, and those of the disk.
func Read(fsys durable.FS, id string) (*Envelope, Content, error) {
	if !isID(id) {
		return nil, nil, fmt.Errorf("%q: %w", id, errGone)
	}
	e, err := spool{fsys}.owed(id)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", id, err)
	}
	c, err := spool{fsys}.open(e)
	if err != nil {
		return nil, nil, err
	}
	return e, c, nil
}

// Apply does a to the messages that s means in a directory that no Queue runs
// on. n is how many there were, also with an error, which ends the work.
func Apply(fsys durable.FS, a Action, s Selection) (n int, err error) {
	q := newQueue(Config{FS: fsys})
	return q.apply(a, s, true)
}

// Apply does a to the messages that s means, once all that were there at the
// start are read. An attempt that is under way goes on. n is how many there were,
// also with an error, which ends the work.
func (q *Queue) Apply(a Action, s Selection) (n int, err error) {
	<-q.loaded
	return q.apply(a, s, false)
}

// apply: what a retry changes need not be durable where attempts begin at once.
func (q *Queue) apply(a Action, s Selection, writesTimes bool) (int, error) {
	if !slices.Contains([]Action{Hold, Release, Retry, Delete}, a) {
		return 0, fmt.Errorf("%q: %w", a, ErrAction)
	}
	now := time.Now()
	ids, err := q.spool.chosen(s)
	if err != nil {
		return 0, err
	}
	changed := make(map[*entry]bool)
	for _, id := range ids {
		var fits bool
		m := q.entry(id)
		if fits, err = q.change(a, m, s, now, writesTimes); err != nil {
			break
		}
		if fits {
			changed[m] = true
		}
	}
	q.replan(a, changed, now)
	q.poke()
	return len(changed), err
}

// entry is the message in memory; one that is not there is damaged, or gone.
func (q *Queue) entry(id string) *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.entries[id]; m != nil {
		return m
	}
	return &entry{id: id}
}

// change writes down what an action does to one message, if it is meant.
func (q *Queue) change(a Action, m *entry, s Selection, now time.Time, writesTimes bool) (fits bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := q.spool.owed(m.id)
	switch {
	case errors.Is(err, errGone):
		return false, nil
	case errors.Is(err, ErrDamaged):
		// A person may delete what a person has looked at.
		if a != Delete || !slices.Contains(s.IDs, m.id) {
			return false, nil
		}
		return true, q.spool.remove(m.id)
	case err != nil:
		return false, err
	case !s.fits(e, now):
		return false, nil
	case a == Delete:
		return true, q.spool.remove(m.id)
	case a == Retry && !writesTimes:
		return true, nil
	}
	e.Held = a == Hold || a == Retry && e.Held
	for i := range e.To {
		if a != Hold {
			e.To[i].Next = now
		}
	}
	return true, q.spool.write(e)
}

// replan makes the plan fit what was changed, in one pass for all.
func (q *Queue) replan(a Action, changed map[*entry]bool, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a == Retry || a == Release {
		q.sched.resume()
	}
	old := q.waiting
	q.waiting = nil
	for m := range changed {
		switch a {
		case Hold:
			q.hold(m, true)
		case Release:
			q.hold(m, false)
			for _, to := range m.parked {
				old = append(old, leg{m, to, now})
			}
			m.parked = nil
		case Delete:
			m.gone = true
			q.forget(m)
		}
	}
	kept := make(legHeap, 0, len(old))
	for _, l := range old {
		switch {
		case l.msg.held || l.msg.gone:
			q.push(l)
			continue
		case changed[l.msg]:
			l.next = now
		}
		kept = append(kept, l)
	}
	q.waiting = kept
	heap.Init(&q.waiting)
}

// hold notes that a message is on hold or not. q.mu is held.
func (q *Queue) hold(m *entry, held bool) {
	if q.entries[m.id] == m && m.held != held {
		if held {
			q.held++
		} else {
			q.held--
		}
	}
	m.held = held
}

// chosen are the IDs that a selection may mean, in order of arrival.
func (s spool) chosen(sel Selection) ([]string, error) {
	if len(sel.IDs) == 0 {
		return s.ids()
	}
	ids := slices.DeleteFunc(slices.Clone(sel.IDs), func(id string) bool { return !isID(id) })
	slices.SortFunc(ids, byArrival)
	return slices.Compact(ids), nil
}
