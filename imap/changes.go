package imap

import "sync"

// Changes is what the sessions of an account tell each other and no store tells:
// that annotations were set, that mailboxes came or went, and how many they are.
// The Servers of one store share one. Its zero value is ready, and it is safe for concurrent use.
type Changes struct {
	mu        sync.Mutex
	listeners map[string]map[*listener]struct{} // by account
	sessions  map[string]int                    // by account
}

// enter counts a session of an account; false if there are most already. 0 is
// any number.
func (c *Changes) enter(account string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.sessions[account] >= most {
		return false
	}
	if c.sessions == nil {
		c.sessions = map[string]int{}
	}
	c.sessions[account]++
	return true
}

// exit ends what enter began.
func (c *Changes) exit(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[account]--; c.sessions[account] <= 0 {
		delete(c.sessions, account)
	}
}

// news is one change. Without a mailbox's entries it is about the names of
// mailboxes and the subscriptions.
type news struct {
	mailbox string   // "" with entries: the account
	entries []string // annotations that were set
	inboxTo string   // INBOX was renamed to this: its messages went there
}

// maxNews is what is kept for a session that does not listen; then it is told
// that it has missed something.
const maxNews = 100

// listener is a session that wants to hear.
type listener struct {
	mu     sync.Mutex
	queue  []news
	missed bool
	wake   func() // called when something is queued, if not nil
}

// watch calls wake as soon as something is queued, until stop is called.
func (l *listener) watch(wake func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake = wake; len(l.queue) > 0 || l.missed {
		wake()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wake = nil
	}
}

func (c *Changes) join(account string) *listener {
	l := new(listener)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners == nil {
		c.listeners = map[string]map[*listener]struct{}{}
	}
	if c.listeners[account] == nil {
		c.listeners[account] = map[*listener]struct{}{}
	}
	c.listeners[account][l] = struct{}{}
	return l
}

func (c *Changes) leave(account string, l *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listeners[account], l)
	if len(c.listeners[account]) == 0 {
		delete(c.listeners, account)
	}
}

// tell tells every listener of the account but the one that did it.
func (c *Changes) tell(account string, by *listener, n news) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.listeners[account] {
		if l != by {
			l.add(n)
		}
	}
}

func (l *listener) add(n news) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= maxNews {
		l.missed = true
		return
	}
	l.queue = append(l.queue, n)
	if l.wake != nil {
		l.wake()
	}
}

// take empties the queue; missed says that more was told than it could hold.
func (l *listener) take() (queue []news, missed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, missed = l.queue, l.missed
	l.queue, l.missed = nil, false
	return queue, missed
}

// accountName is who hears of what this session does.
func (s *session) accountName() string { return s.identity.Account.String() }

// listen makes the session one that hears of changes.
func (s *session) listen() {
	if s.heard == nil {
		s.heard = s.srv.cfg.Changes.join(s.accountName())
	}
}

// unlisten ends listen, and what was asked for with NOTIFY.
func (s *session) unlisten() {
	s.stopNotify()
	if s.heard != nil {
		s.srv.cfg.Changes.leave(s.accountName(), s.heard)
		s.heard = nil
	}
}

// tellOthers tells the other sessions of the account.
func (s *session) tellOthers(n news) {
	if !s.isOthers(n.mailbox) {
		s.srv.cfg.Changes.tell(s.accountName(), s.heard, n)
	}
}
