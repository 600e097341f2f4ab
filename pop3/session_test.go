package pop3

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/auth"
	"gomaild/storage"
)

// pipe is a client on a net.Pipe to a session, inside a bubble of synctest.
type pipe struct {
	net.Conn
	in    *bufio.Reader
	done  chan struct{}
	drain chan struct{}
}

func newPipe(t *testing.T, c Config) *pipe {
	client, server := net.Pipe()
	p := &pipe{Conn: client, in: bufio.NewReader(client), done: make(chan struct{}), drain: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer server.Close()
		New(c).Serve(t.Context(), p.drain, server)
	}()
	return p
}

// say sends a line and returns the first line that comes back.
func (p *pipe) say(t *testing.T, text string) string {
	t.Helper()
	if text != "" {
		if _, err := io.WriteString(p, text+"\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	line, err := p.in.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", text, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := world(t)
		p := newPipe(t, c)
		p.say(t, "")
		start := time.Now()
		if got := p.say(t, ""); got != "-ERR Idle for too long" || time.Since(start) != 3*time.Minute {
			t.Errorf("before login: %q after %v", got, time.Since(start))
		}
		<-p.done

		p = newPipe(t, c)
		p.say(t, "")
		p.say(t, "USER alice")
		p.say(t, "PASS se cret")
		start = time.Now()
		if got := p.say(t, ""); got != "-ERR Idle for too long" || time.Since(start) != 10*time.Minute {
			t.Errorf("after login: %q after %v", got, time.Since(start))
		}
		<-p.done
	})
}

// TestClientThatReadsNothing holds that a message is not written for ever.
func TestClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := world(t)
		p := newPipe(t, c)
		p.say(t, "")
		p.say(t, "USER alice")
		p.say(t, "PASS se cret")
		start := time.Now()
		if _, err := io.WriteString(p, "RETR 1\r\n"); err != nil {
			t.Fatal(err)
		}
		<-p.done
		if got := time.Since(start); got != 5*time.Minute {
			t.Errorf("ended after %v", got)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := world(t)
		p := newPipe(t, c)
		p.say(t, "")
		p.say(t, "USER alice")
		p.say(t, "PASS se cret")
		synctest.Wait()
		close(p.drain)
		if got := p.say(t, ""); got != "-ERR [SYS/TEMP] Server is shutting down" {
			t.Error(got)
		}
		<-p.done
	})
}

// TestUpdate holds what QUIT does besides removing: what was retrieved is seen,
// what was looked at with TOP is not.
func TestUpdate(t *testing.T) {
	t.Parallel()
	for _, mark := range []bool{true, false} {
		c, store := world(t)
		c.MarkSeen = mark
		p := newPipe(t, c)
		p.say(t, "")
		for _, line := range []string{"USER alice", "PASS se cret", "RETR 1", "TOP 2 0", "RETR 3", "DELE 3"} {
			p.say(t, line)
			for strings.HasPrefix(line, "RETR") || strings.HasPrefix(line, "TOP") {
				if p.say(t, "") == "." {
					break
				}
			}
		}
		p.say(t, "QUIT")
		<-p.done
		want := []storage.SystemFlag{0, 0, 0}
		if mark {
			want[0] = storage.Seen
		}
		if got := flags(t, store); !slices.Equal(got, want) {
			t.Errorf("mark %v: flags %v, want %v", mark, got, want)
		}
	}
}

func flags(t *testing.T, store storage.Store) (all []storage.SystemFlag) {
	a, err := store.Account(t.Context(), storage.Owner{Address: alice})
	if err != nil {
		t.Fatal(err)
	}
	box, err := a.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	v, err := box.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range v.Messages {
		all = append(all, m.Flags)
	}
	return all
}

// TestRemovedByAnother holds that numbers do not shift when another session
// removes a message, and that its number says so.
func TestRemovedByAnother(t *testing.T) {
	t.Parallel()
	c, _ := world(t)
	first, second := newPipe(t, c), newPipe(t, c)
	for _, p := range []*pipe{first, second} {
		p.say(t, "")
		p.say(t, "USER alice")
		p.say(t, "PASS se cret")
	}
	first.say(t, "DELE 1")
	first.say(t, "QUIT")
	<-first.done
	for _, row := range [][2]string{
		{"RETR 1", "-ERR Message was removed by another session"},
		{"STAT", "+OK 4 118"},
		{"LIST 2", "+OK 2 25"},
		{"DELE 1", "+OK Marked to be deleted"},
	} {
		if got := second.say(t, row[0]); got != row[1] {
			t.Errorf("%s: %s", row[0], got)
		}
	}
	if got := second.say(t, "QUIT"); !strings.HasPrefix(got, "+OK") {
		t.Error(got)
	}
	<-second.done
}

// TestFaultOfTheStore holds that an account that cannot be opened now is no
// refusal of the password.
func TestFaultOfTheStore(t *testing.T) {
	t.Parallel()
	c, _ := world(t)
	c.Accounts = func(context.Context, auth.Identity) (storage.Account, error) { return nil, io.ErrUnexpectedEOF }
	c.Lock = true
	p := newPipe(t, c)
	p.say(t, "")
	for range 2 { // the lock is given back
		p.say(t, "USER alice")
		if got := p.say(t, "PASS se cret"); got != "-ERR [SYS/TEMP] Temporary internal error, try again later" {
			t.Error(got)
		}
	}
	p.Close()
	<-p.done
}
