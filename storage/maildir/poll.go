package maildir

import (
	"time"
)

const (
	// lookAnyway is how many polls pass until a mailbox is looked at that
	// inotify watches.
	lookAnyway = 30
	// lookSoon is when a mailbox is looked at again that was busy, or that changed
	// too recently for a look to be trusted.
	lookSoon = 25 * time.Millisecond
)

// startPolling starts the store's goroutine that looks for changes of other
// programs, and the one that listens to inotify. Close ends them.
func (s *Store) startPolling() {
	s.pollOnce.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return
		}
		s.work.Go(s.pollAll)
		if s.watcher != nil {
			s.work.Go(func() { s.watcher.read(s.stop) })
		}
	})
}

func (s *Store) pollAll() {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	soon := time.NewTimer(lookSoon)
	defer soon.Stop()
	armed := true
	again := map[*mailbox]struct{}{} // to be looked at when soon fires
	for n := 1; ; {
		var found map[*mailbox]struct{}
		select {
		case <-s.stop:
			return
		case found = <-s.events():
		case <-soon.C:
			found, again, armed = again, map[*mailbox]struct{}{}, false
		case <-tick.C:
			n++
			for _, m := range s.awaited() {
				if n%lookAnyway == 0 || !s.watcher.watches(m) {
					m.pollOne()
				}
			}
		}
		for m := range found {
			if m.isAwaited() && !m.pollOne() {
				again[m] = struct{}{}
			}
		}
		if len(again) > 0 && !armed {
			soon.Reset(lookSoon)
			armed = true
		}
	}
}

// events are those of inotify; none come where it is not in use.
func (s *Store) events() <-chan map[*mailbox]struct{} {
	if s.watcher == nil {
		return nil
	}
	return s.watcher.found
}

// awaited are the mailboxes in which somebody waits for a change.
func (s *Store) awaited() []*mailbox {
	s.mu.Lock()
	accounts := make([]*account, 0, len(s.accounts))
	for _, a := range s.accounts {
		accounts = append(accounts, a)
	}
	s.mu.Unlock()
	var all []*mailbox
	for _, a := range accounts {
		all = a.appendAwaited(all)
	}
	return all
}

func (a *account) appendAwaited(all []*mailbox) []*mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.boxes {
		if m.isAwaited() {
			all = append(all, m)
		}
	}
	return all
}

// isAwaited reports whether somebody waits who was not told yet.
func (m *mailbox) isAwaited() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.awaited && !m.poked
}

// pollOne pokes the mailbox if it is not as the last look saw it, or if that
// look came too soon after a change to be trusted. One that is busy is left to
// whoever is at work: false, as where it is too early to say.
func (m *mailbox) pollOne() (sure bool) {
	select {
	case m.gate <- struct{}{}:
	default:
		return false
	}
	defer m.leave()
	looked := time.Now()
	seen, err := m.stamps()
	switch {
	case err != nil || seen != m.disk.seen || !m.disk.settled && seen.settledAt(looked) || m.disk.short && m.isOverdue(looked):
		m.poke()
	case !m.disk.settled:
		return false
	}
	return true
}
