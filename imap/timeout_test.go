package imap

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a client on a net.Pipe to a new session, inside a bubble of
// synctest. What the server sends is read at once and kept.
type pipe struct {
	t        *testing.T
	world    *world
	conn     net.Conn
	lines    chan string // closed at the end of the connection
	finished chan struct{}
}

func newPipe(t *testing.T, adjust func(*Config)) *pipe {
	client, server := net.Pipe()
	p := &pipe{t: t, world: newWorld(t, adjust), conn: client, lines: make(chan string, 1000), finished: make(chan struct{})}
	go func() {
		defer close(p.lines)
		r := bufio.NewReader(client)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimRight(line, "\r\n")
		}
	}()
	go func() {
		defer close(p.finished)
		defer server.Close()
		p.world.server.Serve(t.Context(), p.world.drain, server)
	}()
	return p
}

func (p *pipe) send(text string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Errorf("send %q: %v", text, err)
	}
	synctest.Wait()
}

func (p *pipe) login() {
	p.send("l LOGIN alice secret\r\n")
	p.send("s SELECT INBOX\r\n")
	p.received()
}

// received is what came since it was last asked.
func (p *pipe) received() []string {
	synctest.Wait()
	var got []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return append(got, "closed")
			}
			got = append(got, line)
		default:
			return got
		}
	}
}

// TestTimeouts holds how long a session waits for its client, exactly.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	const bye = "* BYE Autologout; idle for too long"
	tests := []struct {
		rule  string
		run   func(p *pipe)
		after time.Duration // from the end of run
		want  []string
	}{
		{"nobody logs in", func(p *pipe) { p.received() }, 3 * time.Minute, []string{bye, "closed"}},
		{"noise before login gains nothing", func(p *pipe) {
			p.received()
			for range 10 {
				p.send("N")
				time.Sleep(10 * time.Second)
			}
		}, 80 * time.Second, []string{"* BYE Timed out", "closed"}},
		{"no command after login", func(p *pipe) { p.login() }, 30 * time.Minute, []string{bye, "closed"}},
		{"half a command", func(p *pipe) { p.login(); p.send("a NO") }, 5 * time.Minute, []string{"* BYE Timed out", "closed"}},
		{"half a message", func(p *pipe) {
			p.login()
			p.send("a APPEND INBOX {1000+}\r\nhalf")
			time.Sleep(4 * time.Minute)
			p.send("more")
		}, 5 * time.Minute, []string{"* BYE Timed out", "closed"}},
		{"IDLE says that it lives", func(p *pipe) { p.login(); p.send("a IDLE\r\n"); p.received() }, 2 * time.Minute, []string{"* OK Still here"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPipe(t, nil)
				tt.run(p)
				time.Sleep(tt.after - time.Second)
				if got := p.received(); got != nil {
					t.Errorf("too early: %q", got)
				}
				time.Sleep(time.Second)
				if got := p.received(); !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				p.conn.Close()
				<-p.finished
			})
		})
	}
}

// TestIdleLogout holds that IDLE does not last for ever, whatever changes.
func TestIdleLogout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(t, nil)
		p.login()
		p.send("a IDLE\r\n")
		time.Sleep(29 * time.Minute)
		p.world.put("INBOX", "Subject: x\n\n", 0)
		if got := p.received(); !slices.Contains(got, "* 1 EXISTS") {
			t.Errorf("after 29 minutes: %q", got)
		}
		time.Sleep(time.Minute)
		if got := p.received(); !slices.Contains(got, "* BYE Autologout; idle for too long") {
			t.Errorf("after 30 minutes: %q", got)
		}
		<-p.finished
	})
}

// TestSlowReader holds that a client that reads nothing is given up.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		w := newWorld(t, nil)
		start := time.Now()
		w.server.Serve(t.Context(), w.drain, server) // the greeting is never read
		if took := time.Since(start); took != 5*time.Minute {
			t.Errorf("given up after %v", took)
		}
		client.Close()
		server.Close()
	})
}

// TestDrain holds that an idle session ends at once, in each way of being
// idle, and a command in progress is finished first.
func TestDrain(t *testing.T) {
	t.Parallel()
	const bye = "* BYE Server is shutting down"
	tests := []struct {
		rule   string
		before func(p *pipe)
		after  func(p *pipe)
		want   []string
	}{
		{"before login", func(p *pipe) { p.received() }, nil, []string{bye, "closed"}},
		{"after login", func(p *pipe) { p.login() }, nil, []string{bye, "closed"}},
		{"in IDLE", func(p *pipe) { p.login(); p.send("a IDLE\r\n"); p.received() }, nil, []string{bye, "closed"}},
		{
			"in the middle of a message",
			func(p *pipe) { p.login(); p.send("a APPEND INBOX {5+}\r\nab") },
			func(p *pipe) { p.send("cde\r\n") },
			[]string{"* 1 EXISTS", "* 1 RECENT", "a OK [APPENDUID 1 1] APPEND completed", bye, "closed"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPipe(t, nil)
				tt.before(p)
				close(p.world.drain)
				synctest.Wait()
				if tt.after != nil {
					tt.after(p)
				}
				if got := p.received(); !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				p.conn.Close()
				<-p.finished
			})
		})
	}
}

// TestHalfGone holds that a client that goes away in the middle of a message
// leaves nothing behind: no message, no goroutine (the bubble would not end).
func TestHalfGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(t, nil)
		p.login()
		p.send("a APPEND INBOX {100}\r\nSubject: half")
		p.conn.Close()
		<-p.finished
		if v, err := p.world.mailbox("INBOX").View(t.Context()); err != nil || len(v.Messages) != 0 {
			t.Errorf("%d messages stored, %v", len(v.Messages), err)
		}
	})
}
