package e2e

import (
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/peertest"
)

// counter is another host's SMTP server, which counts messages by their X-Id.
// After the first few hundred it takes its time until it is released, so that
// messages pile up in the queue of whoever sends.
type counter struct {
	mu       sync.Mutex
	times    map[string]int
	came     chan struct{}
	released chan struct{}
	shy      int // every so manieth message is put off; 0: none
	asked    int
}

const fast = 1500 // messages that a counter takes at once

type counterSession struct{ *counter }

func (counterSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (counterSession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }
func (counterSession) Reset()                                 {}
func (counterSession) Logout() error                          { return nil }

func (c counterSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), "\nX-Id: ")
	id, _, _ := strings.Cut(rest, "\r\n")
	if c.len() >= fast {
		<-c.released
	}
	if !c.take(id) {
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "Not now"}
	}
	select {
	case c.came <- struct{}{}:
	default:
	}
	return nil
}

// take counts a message, unless it is put off.
func (c *counter) take(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked++; c.shy > 0 && c.asked%c.shy == 0 {
		return false
	}
	c.times[id]++
	return true
}

func newCounter(t *testing.T) (*counter, string) {
	t.Helper()
	c := &counter{times: map[string]int{}, came: make(chan struct{}, 1), released: make(chan struct{})}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return counterSession{c}, nil }))
	server.Domain = "far.test"
	server.ErrorLog = log.New(io.Discard, "", 0) // of connections that a kill has cut
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Close(); running.Wait() })
	return c, l.Addr().String()
}

func (c *counter) has(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[id]
}

func (c *counter) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.times)
}

// TestKillDuringRelay kills the server twice: while it takes messages for another
// host and sends them there, and, when they wait in its queue, while it does
// nothing but send. After each start it goes on, and every message that was
// answered 250 arrives; those that were under way may arrive twice.
func TestKillDuringRelay(t *testing.T) {
	t.Parallel()
	far, addr := newCounter(t)
	_, farPort, _ := net.SplitHostPort(addr)
	port := peertest.FreePort(t)
	const atOnce = 20 // attempts, each of which a kill may cut off behind the other's 250
	w := newWorld(t, fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nremote.relay_host = \"[%s]:%s\"\nqueue.schedule = [\"1s\"]\nqueue.per_destination = %d\n"+
		"[[listener]]\ntype = \"submission\"\naddress = \"%s:%d\"\ntls = \"none\"\ntrusted_networks = [\"127.0.0.0/8\"]\nmax_per_client = 0\n",
		host, farPort, atOnce, host, port))
	w.start(t)
	const enough = 5000
	acknowledged := w.killWhenFull(t, port, enough)
	before := far.len()
	if waiting := len(acknowledged) - before; waiting < enough/2 {
		t.Errorf("only %d messages were in the queue at the kill", waiting)
	}
	close(far.released)

	w.start(t)
	limit := time.After(2 * time.Minute)
	far.awaitSome(t, limit, before+enough/4)
	w.kill(t)
	between := far.len()
	if len(acknowledged)-between < enough/10 {
		t.Errorf("only %d messages were in the queue at the second kill", len(acknowledged)-between)
	}

	w.start(t)
	for id := range acknowledged {
		for far.has(id) == 0 {
			select {
			case <-far.came:
			case <-limit:
				t.Fatalf("%s was answered 250 and did not arrive; %d of %d did", id, far.len(), len(acknowledged))
			}
		}
	}
	twice := 0
	for id := range acknowledged {
		if far.has(id) > 1 {
			twice++
		}
	}
	t.Logf("%d acknowledged, %d arrived before the first kill, %d before the second, %d twice", len(acknowledged), before, between, twice)
	if twice > 2*atOnce {
		t.Errorf("%d messages arrived twice, more than were under way", twice)
	}
}

// awaitSome waits until n messages have arrived.
func (c *counter) awaitSome(t *testing.T, limit <-chan time.Time, n int) {
	t.Helper()
	for c.len() < n {
		select {
		case <-c.came:
		case <-limit:
			t.Fatalf("%d messages arrived, %d should have", c.len(), n)
		}
	}
}

// killWhenFull sends from eight clients at once until enough messages were
// answered 250, kills the server then, and returns the IDs of those.
func (w *world) killWhenFull(t *testing.T, port, enough int) (acknowledged map[string]bool) {
	t.Helper()
	const senders = 8
	var (
		mu      sync.Mutex
		full    = make(chan struct{})
		once    sync.Once
		running sync.WaitGroup
	)
	acknowledged = make(map[string]bool, enough)
	for i := range senders {
		s, err := dialSMTP(t.Context(), w.addr(port))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer s.conn.Close()
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d.%d", i, n)
				if s.send("x@far.test", append([]byte("X-Id: "+id+"\r\n"), content(2000)...)) != nil {
					return // the server is gone
				}
				mu.Lock()
				acknowledged[id] = true
				isFull := len(acknowledged) >= enough
				mu.Unlock()
				if isFull {
					once.Do(func() { close(full) })
				}
			}
		})
	}
	<-full
	w.kill(t)
	running.Wait()
	return acknowledged
}
