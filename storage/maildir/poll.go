package maildir

import (
	"time"
)

// startPolling starts the store's one goroutine that looks for changes of other
// programs. Close ends it.
func (s *Store) startPolling() {
	s.pollOnce.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.work.Go(s.pollAll)
		}
	})
}

func (s *Store) pollAll() {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			for _, m := range s.awaited() {
				m.pollOne()
			}
		}
	}
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
		m.mu.Lock()
		if m.awaited && !m.poked {
			all = append(all, m)
		}
		m.mu.Unlock()
	}
	return all
}

// pollOne pokes the mailbox if it is not as the last look saw it, or if that
// look came too soon after a change to be trusted. One that is busy is left to
// whoever is at work.
func (m *mailbox) pollOne() {
	select {
	case m.gate <- struct{}{}:
	default:
		return
	}
	defer m.leave()
	looked := time.Now()
	seen, err := m.stamps()
	if err != nil || seen != m.disk.seen || !m.disk.settled && seen.settledAt(looked) {
		m.poke()
	}
}
