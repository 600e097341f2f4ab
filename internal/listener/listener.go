package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What a zero field of Config stands for.
const (
	DefaultMaxConns         = 2000
	DefaultHandshakeTimeout = 30 * time.Second
	DefaultMode             = fs.FileMode(0o660)
)

// Config says where to listen and for whom. Only Address and Handler are
// needed.
type Config struct {
	Name    string // in the log: "submission"
	Network string // "tcp" (default), "tcp4", "tcp6" or "unix"
	Address string // "host:port", or the path of a unix socket

	// TLS is implicit TLS: the handshake comes first, in the connection's own
	// goroutine, so that a slow client holds up nobody. The handler gets a
	// *tls.Conn whose handshake is done. Certificates are reloaded through
	// GetCertificate (package certs).
	TLS              *tls.Config
	HandshakeTimeout time.Duration // default 30 s

	Handler Handler

	// FreeBind lets Address be one that this host has not got yet, as a virtual
	// address of a cluster that comes later (IP_FREEBIND, ip(7)). TCP only.
	FreeBind bool

	// Proxies are the peers that must begin with a PROXY header, version 1 or 2,
	// and are believed about whose connection it is. From all others such a
	// header is what it looks like: no command of any protocol.
	Proxies []netip.Prefix

	MaxConns     int            // open connections in total, default 2000, negative for no limit
	MaxPerClient int            // open connections of one IPv4 address or IPv6 /64, 0 for no limit
	Exempt       []netip.Prefix // networks without a limit per client: webmail, monitoring
	Busy         string         // sent to a connection over a limit, with its CRLF; not sent on TLS

	Mode   fs.FileMode // of a unix socket, default 0660
	Logger *slog.Logger
}

// Listener accepts connections and runs the handler on each. Its life is New,
// Listen, Start, Stop; Stop is right after any of them.
type Listener struct {
	cfg Config
	log *slog.Logger

	ln     net.Listener
	socket *unixSocket // what to remove when ln is closed, nil on TCP

	drain     chan struct{}  // closed: no new work
	drainOnce sync.Once      // closes drain
	closeOnce sync.Once      // closes ln and removes socket
	running   sync.WaitGroup // the accept loop and every connection
	turns     atomic.Uint64  // of the accept loop

	mu      sync.Mutex
	open    map[net.Conn]struct{}
	clients map[netip.Prefix]int // open connections, where MaxPerClient counts
	abort   func()               // ends the context of all handlers, nil before Start
}

// New makes a listener that does not listen yet.
func New(cfg Config) *Listener {
	if cfg.Network == "" {
		cfg.Network = "tcp"
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.HandshakeTimeout <= 0 {
		cfg.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if cfg.Mode == 0 {
		cfg.Mode = DefaultMode
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Listener{
		cfg:     cfg,
		log:     cfg.Logger.With("listener", cfg.Name),
		drain:   make(chan struct{}),
		open:    make(map[net.Conn]struct{}),
		clients: make(map[netip.Prefix]int),
	}
}

// Listen binds the address, so that a port that is taken or an address that is
// not ours is an error at start, before anything serves. Clients that connect
// wait in the kernel until Start.
func (l *Listener) Listen(ctx context.Context) error {
	if l.cfg.Handler == nil {
		return fmt.Errorf("listener %s: no handler", l.cfg.Name)
	}
	var err error
	if l.cfg.Network == "unix" {
		l.ln, l.socket, err = listenUnix(l.cfg.Address, l.cfg.Mode)
	} else {
		l.ln, err = l.listenTCP(ctx)
	}
	if err != nil {
		l.ln = nil
		return fmt.Errorf("listener %s: %w", l.cfg.Name, err)
	}
	return nil
}

// Addr is where the listener is bound, with the port that was chosen for port
// 0; nil before Listen.
func (l *Listener) Addr() net.Addr {
	if l.ln == nil {
		return nil
	}
	return l.ln.Addr()
}

// Open is how many connections there are now.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Start accepts connections until Stop. ctx is what the handlers get: when it
// ends, all connections are closed at once, as if the grace of Stop were over.
func (l *Listener) Start(ctx context.Context) error {
	if l.ln == nil {
		return fmt.Errorf("listener %s: started before Listen", l.cfg.Name)
	}
	ctx, cancel := context.WithCancel(ctx)
	unwatch := onEnd(ctx, l.closeAll)
	l.mu.Lock()
	l.abort = func() { unwatch(); cancel() }
	l.mu.Unlock()

	l.running.Go(func() { l.accept(ctx) })
	return nil
}

// Drain is the first phase of Stop: it closes the port and tells the handlers
// to take no new work. When it returns, another listener can have the address.
// Stop must still follow.
func (l *Listener) Drain() {
	l.drainOnce.Do(func() { close(l.drain) })
	l.closeListener()
}

// Stop ends the listener in two phases: no new work, then no work. It closes
// the port, tells the handlers to drain and returns when all have returned.
// When ctx ends first, it closes the connections beneath them, still waits for
// the handlers, and returns the error of ctx. It may be called more than once.
func (l *Listener) Stop(ctx context.Context) error {
	l.Drain()

	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()

	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("listener %s: %d connections cut off: %w", l.cfg.Name, l.Open(), ctx.Err())
	}
	l.cancel()
	<-done
	return err
}

func (l *Listener) cancel() {
	l.mu.Lock()
	abort := l.abort
	l.mu.Unlock()
	if abort != nil {
		abort()
	}
	l.closeAll()
}

// closeListener frees the address, once: afterwards the name of a unix socket
// may be a successor's, whose file may even have got our inode number.
func (l *Listener) closeListener() {
	if l.ln != nil {
		l.closeOnce.Do(l.freeAddress)
	}
}

func (l *Listener) freeAddress() {
	// A child has our sockets until its program begins, and would go on listening: no
	// process is made meanwhile.
	syscall.ForkLock.RLock()
	err := l.ln.Close()
	syscall.ForkLock.RUnlock()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.log.Warn("close listener", "error", err)
	}
	if l.socket != nil {
		l.socket.remove()
	}
}

// closeAll closes what lies beneath the handlers. It closes the sockets, not
// the TLS connections above them: those would wait to send an alert.
func (l *Listener) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Close() // the handler's next read or write tells
	}
}

// onEnd runs f when ctx ends. What it returns takes that back, or waits until f
// has returned: no goroutine outlives it.
func onEnd(ctx context.Context, f func()) (undo func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return sync.OnceFunc(func() {
		if !stop() {
			<-done
		}
	})
}
