package remote

import (
	"context"
	"sync"
	"time"

	"gomaild/delivery/queue"
)

// How long one connection is used, as Postfix (smtp_connection_reuse_*).
const (
	maxReuse     = 100
	maxReuseTime = 5 * time.Minute
	maxIdle      = 200 // connections that wait, of all destinations
)

// poolKey is what messages must share to share a connection.
type poolKey struct {
	to         queue.Destination
	level      Level
	login      string
	requireTLS bool
	optional   bool // TLS-Required: No
}

func (t *attempt) key() poolKey {
	return poolKey{t.to, t.policy.Level, t.login.Name, t.requiresTLS(), t.tlsOptional}
}

// pool holds sessions that wait a moment for the next message.
type pool struct {
	wait time.Duration

	mu     sync.Mutex
	idle   map[poolKey][]*waiting
	count  int
	closed bool
}

// waiting is a session with the timer that closes it.
type waiting struct {
	*session
	timer *time.Timer
}

func newPool(wait time.Duration) *pool {
	return &pool{wait: wait, idle: map[poolKey][]*waiting{}}
}

// take is a session that waits, nil if there is none.
func (p *pool) take(k poolKey) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[k]
	if len(list) == 0 {
		return nil
	}
	w := list[len(list)-1]
	w.timer.Stop()
	p.drop(k, w)
	return w.session
}

// drop takes w out of the list. The caller holds mu.
func (p *pool) drop(k poolKey, w *waiting) bool {
	list := p.idle[k]
	for i := range list {
		if list[i] == w {
			p.count--
			if p.idle[k] = append(list[:i:i], list[i+1:]...); len(p.idle[k]) == 0 {
				delete(p.idle, k)
			}
			return true
		}
	}
	return false
}

// put keeps a session, or says goodbye where it was used enough.
func (p *pool) put(ctx context.Context, k poolKey, s *session) {
	s.sent++
	if !p.keep(k, s) {
		s.conn.Quit(ctx)
	}
}

func (p *pool) keep(k poolKey, s *session) bool {
	if !s.conn.Usable() || k.to.Transport == "lmtp" || p.wait < 0 || s.sent >= maxReuse || time.Since(s.since) > maxReuseTime {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.count >= maxIdle {
		return false
	}
	w := &waiting{session: s}
	w.timer = time.AfterFunc(p.wait, func() {
		p.mu.Lock()
		found := p.drop(k, w)
		p.mu.Unlock()
		if found {
			_ = s.conn.Close() // nothing was promised, nothing is lost
		}
	})
	p.idle[k] = append(p.idle[k], w)
	p.count++
	return true
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for k, list := range p.idle {
		for _, w := range list {
			w.timer.Stop()
			_ = w.conn.Close()
		}
		delete(p.idle, k)
	}
	p.count = 0
}
