// Package gate is where a session of a line protocol waits for its client, and
// how it is woken there: by a drain, by new mail.
package gate

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// What ends a Wait besides the client's input or an error of the connection.
var (
	ErrWoken    = errors.New("woken")    // Gate.Wake was called
	ErrDeadline = errors.New("deadline") // the wait's time is over
)

// longAgo makes a blocked read return at once when it is set as deadline.
var longAgo = time.Unix(1, 0)

// Gate is where a session waits for its client. Another goroutine can wake it
// there, and only there: a command that is being read or run is not disturbed,
// and a wake that comes meanwhile is kept for the next wait.
type Gate struct {
	mu      sync.Mutex
	conn    net.Conn
	waiting bool
	woken   bool
}

// Wake ends the present or else the next wait with ErrWoken.
func (g *Gate) Wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.woken = true
	if g.waiting {
		_ = g.conn.SetReadDeadline(longAgo) // a closed connection wakes by itself
	}
}

// Wait runs read, which blocks on the connection, until deadline.
func (g *Gate) Wait(deadline time.Time, read func() error) error {
	if !g.open(deadline) {
		return ErrWoken
	}
	err := read()
	g.mu.Lock()
	defer g.mu.Unlock()
	woken := g.woken
	g.waiting, g.woken = false, false
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		g.woken = woken && err == nil // input came first: the wake waits its turn
		return err
	}
	if woken {
		return ErrWoken
	}
	return ErrDeadline
}

func (g *Gate) open(deadline time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.woken {
		g.woken = false
		return false
	}
	g.waiting = true
	_ = g.conn.SetReadDeadline(deadline)
	return true
}

// Replace makes conn, which is TLS over the present one, the connection.
func (g *Gate) Replace(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
}

// IsWaiting reports that the reads that happen are those of a wait, whose
// deadline must stand.
func (g *Gate) IsWaiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
