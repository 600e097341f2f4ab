package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkDovecotSessions is what many clients do at once: webmail sessions and
// APPEND, beside Dovecot with its processes used again (fastest) and as it is
// installed.
func BenchmarkDovecotSessions(b *testing.B) {
	for _, fastest := range []bool{true, false} {
		name := "Installed"
		if fastest {
			name = "Fastest"
		}
		b.Run(name, func(b *testing.B) {
			p := newPair(b, fastest)
			for user := range sessionWorkers {
				p.give(b, benchUser(user), thousand)
			}
			b.Run("Webmail", p.webmail)
			b.Run("Append", p.append)
		})
	}
}

const (
	sessionWorkers = 8
	thousand       = 1000
)

// rates measures how many jobs a second each server does: run does n of them and
// returns how many a second that were.
func (p *pair) rates(b *testing.B, n int, run func(s *benchServer) float64) {
	b.Helper()
	const turns = 2
	var rate [2]float64
	var cpu [2]time.Duration
	client := time.Duration(0)
	for turn := range turns + 1 {
		for i, s := range p.both() {
			used, ours := s.cpu(b), ownCPU(b)
			r := run(s)
			if turn > 0 { // the first one fills the caches
				rate[i] += r / turns
				cpu[i] += s.cpu(b) - used
				client += ownCPU(b) - ours
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate[1], "our/s")
	b.ReportMetric(rate[0], "their/s")
	b.ReportMetric(rate[1]/rate[0], "times")
	b.ReportMetric(float64(cpu[1].Microseconds())/float64(turns*n), "our-cpu-µs")
	b.ReportMetric(float64(cpu[0].Microseconds())/float64(turns*n), "their-cpu-µs")
	b.ReportMetric(float64(client.Microseconds())/float64(2*turns*n), "client-cpu-µs")
	p.profile(b, func(int) error { run(p.ours); return nil })
}

// ownCPU is the processor time that this process used: that of the clients.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// webmail is a page of webmail: login, select, 50 envelopes, one body, store,
// logout.
func (p *pair) webmail(b *testing.B) {
	const n = 800
	p.rates(b, n, func(s *benchServer) float64 {
		return s.swarm(b, sessionWorkers, n, func(worker, run int) []string {
			return []string{
				fmt.Sprintf("LOGIN %s %s", benchUser(worker), password),
				"SELECT INBOX",
				"FETCH 951:1000 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
				fmt.Sprintf("FETCH %d (BODY.PEEK[])", 901+run%100),
				fmt.Sprintf("STORE %d %cFLAGS (\\Flagged)", 901+run%100, "+-"[run/sessionWorkers%2]),
				"LOGOUT",
			}
		})
	})
}

// append is APPEND of 20 KB, each to a mailbox of its own.
func (p *pair) append(b *testing.B) {
	text := content(20 << 10)
	clients := map[*benchServer][]*benchClient{}
	for _, s := range p.both() {
		for worker := range sessionWorkers {
			c, err := s.login(b.Context(), benchUser(worker))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(c.close)
			if _, err := c.do("CREATE appended"); err != nil {
				b.Fatal(err)
			}
			clients[s] = append(clients[s], c)
		}
	}
	one := func(s *benchServer, worker int) error {
		c := clients[s][worker]
		if err := c.send(fmt.Sprintf("APPEND appended {%d}", len(text))); err != nil {
			return err
		}
		if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+") {
			return fmt.Errorf("%q, %w", line, err)
		}
		if _, err := c.conn.Write(append(text[:len(text):len(text)], "\r\n"...)); err != nil {
			return err
		}
		_, err := c.await()
		return err
	}
	const n = 1500
	p.rates(b, n, func(s *benchServer) float64 {
		return spread(b, sessionWorkers, n, func(worker, _ int) error { return one(s, worker) })
	})
}

// BenchmarkIdle holds many authenticated connections in IDLE and reports what
// each of them costs in memory (PSS), and how long after the 250 of a message
// the client of its mailbox hears of it. Targets: 25 KB, on TLS 60 KB; 20 ms.
func BenchmarkIdle(b *testing.B) {
	const connections, users = 5000, 500
	for _, onTLS := range []bool{false, true} {
		name := "Plain"
		if onTLS {
			name = "TLS"
		}
		b.Run(name, func(b *testing.B) {
			s, w := ourServer(b, users)
			warmed, err := s.idle(b.Context(), benchUser(0), onTLS) // what the first one costs is not per connection
			if err != nil {
				b.Fatal(err)
			}
			defer warmed.close()
			before := s.pss(b)
			clients := make([]*benchClient, connections)
			spread(b, 16, connections, func(_, run int) (err error) {
				clients[run], err = s.idle(b.Context(), benchUser(run%users), onTLS)
				return err
			})
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(s.pss(b)-before)/connections/1024, "KB/connection")
			s.memoryProfile(b)
			b.ReportMetric(w.wakeUp(b, clients).Seconds()*1000, "ms-to-idle")
			var g sync.WaitGroup
			for _, c := range clients {
				g.Go(c.close)
			}
			g.Wait()
		})
	}
}

// memoryProfile writes what the server says of its heap and stacks.
func (s *benchServer) memoryProfile(b *testing.B) {
	b.Helper()
	if *profileDir == "" {
		return
	}
	for name, query := range map[string]string{"heap": "heap?debug=1", "heap.pb": "heap", "goroutines": "goroutine?debug=1"} {
		if err := s.fetch("/debug/pprof/"+query, filepath.Join(*profileDir, strings.ReplaceAll(b.Name(), "/", "_")+"."+name)); err != nil {
			b.Fatal(err)
		}
	}
}

// idle logs in, selects INBOX and idles.
func (s *benchServer) idle(ctx context.Context, user string, onTLS bool) (*benchClient, error) {
	c, err := s.dial(ctx, onTLS)
	if err != nil {
		return nil, err
	}
	for _, command := range []string{fmt.Sprintf("LOGIN %s %s", user, password), "SELECT INBOX"} {
		if _, err := c.do(command); err != nil {
			c.close()
			return nil, err
		}
	}
	if err := c.send("IDLE"); err != nil {
		return nil, err
	}
	_, err = c.r.ReadString('\n')
	return c, err
}

// wakeUp is the longest of ten times from the 250 of a message to the EXISTS
// that an idling client of its mailbox gets.
func (w *world) wakeUp(b *testing.B, clients []*benchClient) time.Duration {
	b.Helper()
	sender, err := dialSMTP(b.Context(), w.addr(w.mx))
	if err != nil {
		b.Fatal(err)
	}
	defer sender.close()
	var longest time.Duration
	for i := range 10 {
		heard := make(chan time.Time, 1)
		go func() {
			for {
				line, err := clients[i].r.ReadString('\n')
				if err != nil {
					return
				}
				if strings.HasSuffix(line, "EXISTS\r\n") {
					heard <- time.Now()
					return
				}
			}
		}()
		if err := sender.send(benchUser(i), content(4<<10)); err != nil {
			b.Fatal(err)
		}
		answered := time.Now()
		select {
		case at := <-heard:
			longest = max(longest, at.Sub(answered))
		case <-time.After(10 * time.Second):
			b.Fatal("nobody tells the idling client")
		}
	}
	return longest
}
