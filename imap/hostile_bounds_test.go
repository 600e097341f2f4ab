package imap

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestWrongStates sends every command in every state that is not its own.
func TestWrongStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address := w.listen()
	before, after := w.dial(address), w.login(address)
	before.line()
	for i, cmd := range commands {
		if i%15 == 0 { // twenty faults in a row end a session
			before.do("NOOP")
			after.do("NOOP")
		}
		for c, s := range map[*client]state{before: notAuthenticated, after: authenticated} {
			if cmd.states&s != 0 {
				continue
			}
			// With arguments and without: the state counts first.
			for _, line := range []string{cmd.name, cmd.name + " 1 x y"} {
				if got := c.do(line); len(got) != 1 || !strings.HasPrefix(got[0], "t BAD "+cmd.name+" is not allowed ") {
					t.Errorf("%s: %q", line, got)
				}
			}
			c.do("NOOP")
		}
	}
}

// TestHostileMemory holds how much is allocated in all for what is hostile. It
// is not parallel: others' octets would count.
func TestHostileMemory(t *testing.T) { //nolint:paralleltest // it measures the process
	w := newWorld(t, nil)
	address := w.listen()
	c := w.login(address)
	for n, text := range []string{
		nested(1000), nested(20000), strings.Repeat("Content-Type: multipart/mixed; boundary=x\n\n--x\n", 1000) + "\nx\n",
		"Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 100000) + "--x--\n",
		strings.Repeat("X-A: b\n", 100000) + "\nx\n",
	} {
		w.put("INBOX", text, 0)
		c.do("SELECT INBOX")
		used := allocated(func() {
			c.do(fmt.Sprintf("FETCH %d (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[1.1.1.MIME] BODY.PEEK[HEADER])", n+1))
		})
		if limit := uint64(40<<20 + 20*len(text)); used > limit {
			t.Errorf("message %d of %d octets: %d octets allocated, at most %d", n, len(text), used, limit)
		}
	}
	for _, tt := range []struct {
		command string
		limit   uint64
	}{
		{"SEARCH " + strings.Repeat("(", 10000) + "ALL", 2 << 20},
		{"SEARCH " + strings.Repeat("NOT ", 10000) + "ALL", 2 << 20},
		{"UID FETCH " + strings.Repeat("1:4294967295,*:1,", 3700) + "1 FLAGS", 4 << 20},
		{"LOGIN {1073741824}", 2 << 20},
		{"APPEND INBOX {1073741824}", 2 << 20},
		{strings.Repeat("x", 10<<20), 40 << 20}, // the line itself, in the test
	} {
		c := w.login(address)
		c.do("SELECT INBOX")
		if used := allocated(func() { c.do(tt.command) }); used > tt.limit {
			t.Errorf("%.30q: %d octets allocated, at most %d", tt.command, used, tt.limit)
		}
	}
	// A literal of 1 GB that does not wait for the server: BYE, whatever comes.
	used := allocated(func() {
		c := w.login(address)
		c.send("t APPEND INBOX {1073741824+}\r\nEVIL CREATE pwned\r\n")
		for line := c.line(); line != "" || !c.ended(); line = c.line() {
			if strings.HasPrefix(line, "t OK") {
				t.Errorf("it says %q", line)
			}
		}
	})
	if used > 2<<20 {
		t.Errorf("a literal of 1 GB: %d octets allocated", used)
	}
}

// allocated is how many octets of memory work asks for in all.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
