package imap

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// counted is a client that keeps count of its messages by what it hears alone,
// as every client does.
type counted struct {
	*client
	exists  int
	uids    []string // by message number; "" where not known
	problem string
}

// do runs a command and takes in what it hears.
func (c *counted) do(command string) {
	verb, _, _ := strings.Cut(command, " ")
	for _, line := range c.client.do(command) {
		var n int
		var what string
		if _, err := fmt.Sscanf(line, "* %d %s", &n, &what); err != nil {
			if strings.HasPrefix(line, "t BAD") {
				c.problem = command + ": " + line
			}
			continue
		}
		c.hear(verb, line, n, what)
	}
}

func (c *counted) hear(verb, line string, n int, what string) {
	switch {
	case what == "EXISTS" && n < c.exists:
		c.problem = fmt.Sprintf("%s after %d", line, c.exists)
	case what == "EXISTS":
		c.exists = n
		for len(c.uids) < n {
			c.uids = append(c.uids, "")
		}
	case n < 1 || n > c.exists:
		if what != "RECENT" {
			c.problem = fmt.Sprintf("%s with %d messages", line, c.exists)
		}
	case what == "EXPUNGE" && (verb == "FETCH" || verb == "STORE" || verb == "SEARCH"):
		c.problem = line + " during " + verb
	case what == "EXPUNGE":
		c.exists--
		c.uids = append(c.uids[:n-1], c.uids[n:]...)
	case strings.HasPrefix(what, "FETCH"):
		c.checkUID(line, n)
	}
}

// checkUID holds that a number means one message as long as no EXPUNGE has
// moved it.
func (c *counted) checkUID(line string, n int) {
	_, after, ok := strings.Cut(line, "UID ")
	if !ok {
		return
	}
	uid := strings.TrimRight(strings.Fields(after)[0], ")")
	if c.uids[n-1] != "" && c.uids[n-1] != uid {
		c.problem = fmt.Sprintf("%s, but message %d was UID %s", line, n, c.uids[n-1])
	}
	c.uids[n-1] = uid
}

// command makes one up that suits the client's knowledge.
func (c *counted) command(r *rand.Rand) string {
	if c.exists == 0 {
		return "APPEND INBOX {3+}\r\nx\r\n"
	}
	n := 1 + r.IntN(c.exists)
	return []string{
		"APPEND INBOX {3+}\r\nx\r\n",
		"FETCH 1:* UID",
		fmt.Sprintf("FETCH %d (UID FLAGS BODY.PEEK[])", n),
		fmt.Sprintf("STORE %d +FLAGS (\\Deleted)", n),
		fmt.Sprintf("STORE %d FLAGS.SILENT (\\Seen $K%d)", n, r.IntN(5)),
		fmt.Sprintf("SEARCH %d UNSEEN", n),
		fmt.Sprintf("COPY %d INBOX", n),
		fmt.Sprintf("MOVE %d Other", n),
		"UID FETCH 1:* FLAGS",
		"EXPUNGE",
		"NOOP",
	}[r.IntN(11)]
}

// TestManySessions lets sessions change one mailbox at once and holds that
// each can follow it: numbers never shift under a command, and in the end all
// agree.
func TestManySessions(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		manySessions(t, newWorld(t, nil), 150)
	})
	t.Run("maildir", func(t *testing.T) {
		t.Parallel()
		manySessions(t, newWorldOn(t, maildirStore(t), nil), 60)
	})
}

func manySessions(t *testing.T, w *world, commands int) {
	address := w.listen()
	w.login(address).do("CREATE Other")
	clients := make([]*counted, 5)
	var running sync.WaitGroup
	for i := range clients {
		c := &counted{client: w.login(address)}
		clients[i] = c
		running.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			c.do("SELECT INBOX")
			for range commands {
				c.do(c.command(r))
				if c.problem != "" {
					return
				}
			}
		})
	}
	running.Wait()
	view, err := w.mailbox("INBOX").View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		c.do("NOOP")
		c.do("FETCH 1:* UID")
		if c.problem != "" {
			t.Errorf("client %d: %s", i, c.problem)
			continue
		}
		if c.exists != len(view.Messages) {
			t.Errorf("client %d counts %d messages, there are %d", i, c.exists, len(view.Messages))
			continue
		}
		for n, m := range view.Messages {
			if c.uids[n] != fmt.Sprint(m.UID) {
				t.Errorf("client %d: message %d is UID %s, should be %d", i, n+1, c.uids[n], m.UID)
			}
		}
	}
}
