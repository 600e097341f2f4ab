package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

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

// accept takes connections until the listener is closed or ctx ends.
func (l *Listener) accept(ctx context.Context) {
	unwatch := onEnd(ctx, l.closeListener)
	defer unwatch()

	pause := minPause
	for {
		conn, err := l.ln.Accept()
		switch {
		case err == nil:
			pause = minPause
			l.admit(ctx, conn)
		case errors.Is(err, net.ErrClosed) || l.draining():
			return
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
	client := l.clientOf(conn)
	if limit := l.register(conn, client); limit != "" {
		l.log.Warn("connection refused", "client", conn.RemoteAddr(), "limit", limit)
		l.sendAway(conn)
		return
	}
	l.running.Go(func() {
		defer l.forget(conn, client)
		l.serve(ctx, conn)
	})
}

// clientOf is whom the limit per client counts; the zero Prefix is nobody.
func (l *Listener) clientOf(conn net.Conn) netip.Prefix {
	addr := peer.Addr(conn.RemoteAddr())
	if l.cfg.MaxPerClient <= 0 || peer.In(l.cfg.Exempt, addr) {
		return netip.Prefix{}
	}
	return peer.Network(addr)
}

// register counts the connection, or returns the name of the limit that it
// would break.
func (l *Listener) register(conn net.Conn, client netip.Prefix) (limit string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.MaxConns > 0 && len(l.open) >= l.cfg.MaxConns {
		return "total"
	}
	if client.IsValid() {
		if l.clients[client] >= l.cfg.MaxPerClient {
			return "client"
		}
		l.clients[client]++
	}
	l.open[conn] = struct{}{}
	return ""
}

func (l *Listener) forget(conn net.Conn, client netip.Prefix) {
	_ = conn.Close() // most often closed already, through TLS
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	if !client.IsValid() {
		return
	}
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

// serve runs the handler on one connection. It is where a panic ends: the
// other sessions know nothing of it.
func (l *Listener) serve(ctx context.Context, conn net.Conn) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic in a connection", "client", conn.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
		}
	}()
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
	done := make(chan struct{})
	defer close(done)
	l.running.Go(func() {
		select {
		case <-l.drain:
			cancel()
		case <-done:
		}
	})
	secure := tls.Server(conn, l.cfg.TLS)
	return secure, secure.HandshakeContext(ctx)
}
