package maildir

import (
	"container/list"
	"sync"
	"time"
)

// Mailboxes that were closed stay in memory for a while, because webmail opens
// and closes one for each page, and reading 100 000 names takes longer than
// everything else that a page wants. The next who opens such a mailbox looks at
// the same stamps as one who has it open all the time, so what other programs
// did meanwhile is seen. When it is let go its index is written, so that a crash
// costs no more mailboxes their MODSEQs than were in use in the last minute.
const warmFor = time.Minute

// warmBox is how many messages a mailbox counts besides its own: letting one go
// may mean writing a file, and the end of the process waits for all of them.
const warmBox = 100

// warmth is the list of these mailboxes. Each has a reference of its own to its
// mailbox and its account.
type warmth struct {
	limit int // messages

	mu       sync.Mutex
	boxes    list.List // of *warmed, the one used last in front
	messages int       // in all of them
	sweeping *time.Timer
}

type warmed struct {
	account  *account
	box      *mailbox
	messages int
	used     time.Time
}

// take keeps a mailbox whose last handle is being closed; false if it does not
// fit. The account's lock is held.
func (w *warmth) take(s *Store, m *mailbox) bool {
	state := m.current()
	if w.limit == 0 || state == nil || m.gone.Load() || len(state.files)+warmBox > w.limit || s.alive() != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &warmed{account: m.account, box: m, messages: len(state.files) + warmBox, used: time.Now()}
	m.warm = w.boxes.PushFront(one)
	w.messages += one.messages
	if w.sweeping == nil {
		w.sweeping = time.AfterFunc(warmFor, s.sweepWarm)
	}
	return true
}

// touch says that a mailbox was used. The account's lock is held.
func (w *warmth) touch(m *mailbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.warm == nil {
		return
	}
	one := m.warm.Value.(*warmed)
	one.used = time.Now()
	w.messages -= one.messages
	if state := m.current(); state != nil {
		one.messages = len(state.files) + warmBox
	}
	w.messages += one.messages
	w.boxes.MoveToFront(m.warm)
}

// cool lets go what was not used since a time, and what is too much.
func (w *warmth) cool(since time.Time) {
	for {
		w.mu.Lock()
		last := w.boxes.Back()
		if last == nil || w.messages <= w.limit && last.Value.(*warmed).used.After(since) {
			w.mu.Unlock()
			return
		}
		one := w.boxes.Remove(last).(*warmed)
		one.box.warm = nil
		w.messages -= one.messages
		w.mu.Unlock()
		one.account.unref(one.box)
	}
}

// sweepWarm lets go what nobody used for a while.
func (s *Store) sweepWarm() {
	if !s.begin() {
		return
	}
	defer s.work.Done()
	s.warmth.cool(time.Now().Add(-warmFor))
	s.warmth.mu.Lock()
	defer s.warmth.mu.Unlock()
	if s.warmth.sweeping = nil; s.warmth.boxes.Len() > 0 {
		s.warmth.sweeping = time.AfterFunc(warmFor/2, s.sweepWarm)
	}
}

// stop lets everything go.
func (w *warmth) stop() {
	w.mu.Lock()
	if w.sweeping != nil {
		w.sweeping.Stop()
	}
	w.mu.Unlock()
	w.cool(time.Now().Add(time.Hour))
}
