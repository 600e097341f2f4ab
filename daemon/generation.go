package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"gomaild/accounts/postfixadmin"
	"gomaild/delivery/bounce"
	"gomaild/delivery/receive"
	"gomaild/delivery/routing"
	"gomaild/internal/config"
	"gomaild/internal/listener"
	"gomaild/policy"
)

// errCutOff means that sessions were still busy when the grace ended.
var errCutOff = errors.New("sessions were cut off at the end of the grace")

// generation is everything that one configuration makes and a reload replaces.
type generation struct {
	cfg       *config.Config
	db        *postfixadmin.DB
	policy    *policy.Policy              // may be nil
	handlers  map[string]listener.Handler // by the key of the door
	router    *routing.Router
	templates *bounce.Templates
	keys      *signer               // may be nil
	own       receive.Config        // for mail that this server itself sends
	last      func(context.Context) // is done with the database when the last session has ended

	drain chan struct{} // closed: no new work
	empty chan struct{} // closed when draining and the last session has ended

	mu       sync.Mutex // guards the fields below
	draining bool
	sessions map[net.Conn]context.CancelFunc
}

func newGeneration(cfg *config.Config, db *postfixadmin.DB) *generation {
	return &generation{
		cfg:      cfg,
		db:       db,
		handlers: map[string]listener.Handler{},
		drain:    make(chan struct{}),
		empty:    make(chan struct{}),
		sessions: map[net.Conn]context.CancelFunc{},
	}
}

// enter notes a session; false means that the generation takes none.
func (g *generation) enter(conn net.Conn, cancel context.CancelFunc) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return false
	}
	g.sessions[conn] = cancel
	return true
}

// count is how many sessions there are.
func (g *generation) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

func (g *generation) leave(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, conn)
	if g.draining && len(g.sessions) == 0 {
		close(g.empty)
	}
}

// serve runs a session; false means that the generation takes none. The
// session gets the drain of the generation, not of the listener: the daemon
// closes the former before the latter, and a reload closes it alone.
func (g *generation) serve(ctx context.Context, h listener.Handler, conn net.Conn) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !g.enter(conn, cancel) {
		return false
	}
	defer g.leave(conn)
	h.Serve(ctx, g.drain, conn)
	return true
}

// cutOff closes the connections beneath all sessions.
func (g *generation) cutOff() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn, cancel := range g.sessions {
		cancel()
		_ = beneath(conn).Close() // the handler's next read or write tells
	}
}

// beneath is the socket under TLS, which can be closed without a word.
func beneath(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// beginDrain is the first phase of the end: no new work.
func (g *generation) beginDrain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return
	}
	g.draining = true
	close(g.drain)
	if len(g.sessions) == 0 {
		close(g.empty)
	}
}

// end is both phases: it returns when no session runs and the database is
// closed. When ctx ends first, connections are closed beneath the sessions.
func (g *generation) end(ctx context.Context) error {
	g.beginDrain()
	var err error
	select {
	case <-g.empty:
	case <-ctx.Done():
		err = errCutOff
		g.cutOff()
	}
	<-g.empty
	g.last(ctx)
	return errors.Join(err, g.policy.Close(), g.db.Close())
}
