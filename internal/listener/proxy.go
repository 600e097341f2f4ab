package listener

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pires/go-proxyproto"

	"gomaild/internal/peer"
)

// maxProxyHeader is the most that is read to find a header, in octets: 16 and
// the addresses of version 2 (up to 216), with room for what HAProxy adds.
const maxProxyHeader = 1024

// proxied is a connection through a proxy that said whose it is. What came
// behind the header in one packet is read first.
type proxied struct {
	net.Conn
	remote, local net.Addr
	rest          []byte
}

// Read implements net.Conn.
func (p *proxied) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// RemoteAddr is the client's, not the proxy's.
func (p *proxied) RemoteAddr() net.Addr { return p.remote }

// LocalAddr is the address that the client connected to.
func (p *proxied) LocalAddr() net.Addr { return p.local }

// CloseWrite half-closes the connection to the proxy.
func (p *proxied) CloseWrite() error {
	half, ok := p.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// isProxy reports that the peer must begin with a PROXY header.
func (l *Listener) isProxy(conn net.Conn) bool {
	return peer.In(l.cfg.Proxies, peer.Addr(conn.RemoteAddr()))
}

// unveil reads the PROXY header of a proxy. A header of version 1 must come in
// one piece, as the protocol asks of its sender. Nothing before its end is taken for
// anything else; without one the connection is closed, as the protocol demands.
// A header that speaks for the proxy itself (LOCAL, UNKNOWN: health checks)
// leaves the addresses as they are.
func (l *Listener) unveil(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(l.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	unwatch := l.onDrain(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	in := bufio.NewReaderSize(conn, maxProxyHeader)
	h, err := proxyproto.Read(in)
	unwatch()
	if err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	rest, err := in.Peek(in.Buffered())
	if err != nil {
		return nil, err
	}
	p := &proxied{Conn: conn, remote: conn.RemoteAddr(), local: conn.LocalAddr(), rest: rest}
	if source, destination, ok := h.TCPAddrs(); ok && h.Command == proxyproto.PROXY {
		p.remote, p.local = source, destination
	}
	return p, nil
}

// onDrain calls f when the listener drains or ctx ends, until the function it
// returns is called, which waits for f.
func (l *Listener) onDrain(ctx context.Context, f func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	l.running.Go(func() {
		defer close(done)
		select {
		case <-l.drain:
			f()
		case <-ctx.Done():
			f()
		case <-quit:
		}
	})
	return func() {
		close(quit)
		<-done
	}
}
