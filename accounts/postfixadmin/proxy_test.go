package postfixadmin

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a DB and its server, and fails as networks do.
type proxy struct {
	t        *testing.T
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu     sync.Mutex
	silent bool       // guarded by mu: take octets of clients and pass nothing on
	conns  []net.Conn // guarded by mu: of clients
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: l, server: server}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.refuse()
		p.reset()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			p.t.Error(err)
			client.Close()
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, client)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(server, client) })
		p.wg.Go(func() { p.pass(client, server) })
	}
}

// pass copies until either side ends.
func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		silent := p.silent
		p.mu.Unlock()
		if silent {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			_, _ = io.Copy(io.Discard, from)
			return
		}
	}
}

// reset ends every connection with RST, which the peer meets in its next read
// or write.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	p.conns = nil
}

// refuse takes no new connections from now on.
func (p *proxy) refuse() { _ = p.listener.Close() }

// blackHole lets no octet through any more, or again.
func (p *proxy) blackHole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
}
