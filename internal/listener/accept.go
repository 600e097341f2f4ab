package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"gomaild/internal/gate"
	"gomaild/internal/peer"
)

// The pause after a failed accept. Without file descriptors (EMFILE) accept
// fails at once, for ever: a loop without a pause would burn the processor
// that could free them.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// busyTimeout bounds the goodbye to a client over a limit. It fits into the
// empty send buffer of a new socket, so in practice nobody waits.
const busyTimeout = 100 * time.Millisecond

// TurnEvery is how often an accept loop goes round at least, so that one that
// hangs can be told from one that nobody connects to.
const TurnEvery = time.Second

// Turns counts how often the accept loop has gone round.
func (l *Listener) Turns() uint64 { return l.turns.Load() }

// limitWait lets the next accept return in time for the next turn.
func (l *Listener) limitWait() {
	if ln, ok := l.ln.(interface{ SetDeadline(t time.Time) error }); ok {
		_ = ln.SetDeadline(time.Now().Add(TurnEvery)) // it fails where accept does
	}
}

// accept takes connections until the listener is closed or ctx ends.
func (l *Listener) accept(ctx context.Context) {
	unwatch := onEnd(ctx, l.closeListener)
	defer unwatch()

	pause := minPause
	for {
		l.turns.Add(1)
		l.limitWait()
		conn, err := l.ln.Accept()
		switch {
		case err == nil:
			pause = minPause
			l.admit(ctx, conn)
		case errors.Is(err, net.ErrClosed) || l.draining():
			return
		case errors.Is(err, os.ErrDeadlineExceeded): // nobody came
		default:
			l.log.Error("accept", "error", err, "pause", pause)
			if !l.wait(ctx, pause) {
				return
			}
			pause = min(2*pause, maxPause)
		}
	}
}

func (l *Listener) draining() bool {
	select {
	case <-l.drain:
		return true
	default:
		return false
	}
}

// wait reports false when the listener ends before the pause does.
func (l *Listener) wait(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.drain:
		return false
	case <-ctx.Done():
		return false
	}
}

// admit starts a connection's goroutine, or sends the connection away.
func (l *Listener) admit(ctx context.Context, conn net.Conn) {
	if !l.register(conn) {
		l.refuse(conn, "total")
		return
	}
	if l.isProxy(conn) {
		l.running.Go(func() {
			defer l.forget(conn)
			l.serveProxied(ctx, conn)
		})
		return
	}
	client := l.clientOf(conn)
	if !l.count(client) {
		l.refuse(conn, "client")
		l.forget(conn)
		return
	}
	l.running.Go(func() {
		defer l.forget(conn)
		defer l.uncount(client)
		l.serve(ctx, conn)
	})
}

// serveProxied finds out whose connection it is before it counts and serves it.
func (l *Listener) serveProxied(ctx context.Context, conn net.Conn) {
	defer l.recovered(conn)
	real, err := l.unveil(ctx, conn)
	if err != nil {
		l.log.Warn("proxy", "peer", conn.RemoteAddr(), "error", err)
		return
	}
	client := l.clientOf(real)
	if !l.count(client) {
		l.refuse(real, "client")
		return
	}
	defer l.uncount(client)
	l.serve(ctx, real)
}

func (l *Listener) refuse(conn net.Conn, limit string) {
	l.log.Warn("connection refused", "client", conn.RemoteAddr(), "limit", limit)
	l.sendAway(conn)
}

// clientOf is whom the limit per client counts; the zero Prefix is nobody.
func (l *Listener) clientOf(conn net.Conn) netip.Prefix {
	addr := peer.Addr(conn.RemoteAddr())
	if l.cfg.MaxPerClient <= 0 || peer.In(l.cfg.Exempt, addr) {
		return netip.Prefix{}
	}
	return peer.Network(addr)
}

// register notes an open connection unless there are too many.
func (l *Listener) register(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.MaxConns > 0 && len(l.open) >= l.cfg.MaxConns {
		return false
	}
	l.open[conn] = struct{}{}
	return true
}

func (l *Listener) forget(conn net.Conn) {
	_ = conn.Close() // most often closed already, through TLS
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

// count counts a connection of the client unless it has too many.
func (l *Listener) count(client netip.Prefix) bool {
	if !client.IsValid() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[client] >= l.cfg.MaxPerClient {
		return false
	}
	l.clients[client]++
	return true
}

func (l *Listener) uncount(client netip.Prefix) {
	if !client.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// sendAway says why, where that can be done without a handshake, and closes.
func (l *Listener) sendAway(conn net.Conn) {
	if l.cfg.Busy != "" && l.cfg.TLS == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(busyTimeout))
		_, _ = conn.Write([]byte(l.cfg.Busy)) // a client that is gone need not know
	}
	_ = conn.Close()
}

// recovered, deferred, is where a panic ends: the other sessions know nothing
// of it.
func (l *Listener) recovered(conn net.Conn) {
	if p := recover(); p != nil {
		l.log.Error("panic in a connection", "client", conn.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
	}
}

// serve runs the handler on one connection.
func (l *Listener) serve(ctx context.Context, conn net.Conn) {
	defer l.recovered(conn)
	if ctx.Err() != nil {
		return // closeAll has run, perhaps before this connection was counted
	}
	if l.cfg.TLS == nil {
		l.cfg.Handler.Serve(ctx, l.drain, conn)
		return
	}
	secure, err := l.handshake(ctx, conn)
	if err != nil {
		l.log.Info("TLS handshake", "client", conn.RemoteAddr(), "error", err)
		return
	}
	defer secure.Close() // says close_notify; the socket itself is closed by forget
	l.cfg.Handler.Serve(ctx, l.drain, secure)
}

// handshake ends with its timeout, and at once when the listener drains: a
// client that is not known yet has nothing to finish.
func (l *Listener) handshake(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.HandshakeTimeout)
	defer cancel()
	defer l.onDrain(ctx, cancel)()
	secure := tls.Server(conn, l.cfg.TLS)
	var err error
	gate.Apart(func() { err = secure.HandshakeContext(ctx) }) // it takes four times the stack of what comes after it
	return secure, err
}
