package smtp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"gomaild/internal/peer"
)

// Server speaks SMTP, submission or LMTP, as its Config says. It is a
// listener.Handler and holds no connection of its own: it needs no stopping.
type Server struct {
	cfg      Config
	log      *slog.Logger
	commands []command
	pool     sync.Pool // of *[bigBuffer]byte, for content in flight
}

// New makes a server.
func New(cfg Config) *Server {
	if cfg.LMTP {
		orDefault(&cfg.Limits.MaxTransactions, -1) // the MTA before us stays as long as it has mail
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Greeting == "" {
		cfg.Greeting = "ESMTP"
		if cfg.LMTP {
			cfg.Greeting = "LMTP"
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		commands: commandTable(cfg.LMTP),
		pool:     sync.Pool{New: func() any { return new([bigBuffer]byte) }},
	}
}

// Serve speaks with one client until it quits, fails or is sent away. When
// drain closes, a client that is not sending content hears 421 4.3.2; content
// in flight is finished and answered first. ctx reaches the Receiver as it is;
// when it ends, the owner of conn closes it.
func (srv *Server) Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn) {
	w := newWire(conn, &srv.pool, srv.cfg.Limits)
	stopped := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-drain:
			w.drain()
		case <-stopped:
		}
	})
	defer watcher.Wait()
	defer close(stopped)
	defer w.release()

	s := newSession(srv, w, drain)
	defer s.leave()
	defer s.abort() // a panic of the Receiver must not leave a transaction open
	s.log.DebugContext(ctx, "connected", "client", s.client.Addr)
	err := s.serve(ctx)
	s.log.DebugContext(ctx, "disconnected", "reason", err)
}

// sessionID names a session in logs and Received fields: 60 random bits.
func sessionID() string { return rand.Text()[:12] }

// tlsState is the state of a connection that is encrypted, whatever type it
// is of, nil of one that is not.
func tlsState(conn net.Conn) *tls.ConnectionState {
	t, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// clientOf is what is known of the peer at connect.
func clientOf(conn net.Conn) Client {
	c := Client{
		Session:   sessionID(),
		Addr:      peer.Addr(conn.RemoteAddr()),
		LocalAddr: addrPort(conn.LocalAddr()),
		TLS:       tlsState(conn),
	}
	c.Port = addrPort(conn.RemoteAddr()).Port()
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
