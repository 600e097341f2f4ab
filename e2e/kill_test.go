package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestKill kills the server with messages under way on eight connections and
// finds every message that was answered 250, whole, after the next start.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.start(t)
	const senders, enough = 8, 200
	var (
		mu           sync.Mutex
		acknowledged = map[string]bool{}
		killed       = make(chan struct{})
		once         sync.Once
		running      sync.WaitGroup
	)
	for i := range senders {
		s, err := dialSMTP(t.Context(), w.addr(w.mx))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer s.conn.Close()
			for n := 0; ; n++ {
				id := fmt.Sprintf("<%d.%d@kill.test>", i, n)
				if s.send("bob@example.test", append([]byte("X-Id: "+id+"\r\n"), content(3000)...)) != nil {
					return // the server is gone
				}
				mu.Lock()
				acknowledged[id] = true
				full := len(acknowledged) >= enough
				mu.Unlock()
				if full {
					once.Do(func() { close(killed) })
				}
			}
		})
	}
	<-killed
	w.kill(t)
	running.Wait()

	w.start(t)
	found := map[string]int{}
	for _, name := range w.stored(t, "bob@example.test") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nX-Id: ")
		id, _, _ := strings.Cut(rest, "\n")
		if len(text) < 3000 || !strings.HasSuffix(string(text), "\n") {
			t.Errorf("%s is not whole", name)
		}
		found[id]++
	}
	for id := range acknowledged {
		if found[id] != 1 {
			t.Errorf("%s was answered 250 and is there %d times", id, found[id])
		}
	}
	t.Logf("%d acknowledged, %d stored", len(acknowledged), len(found))
}
