package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpusDir keeps the Maildirs of the benchmarks between runs.
var corpusDir = flag.String("corpus", "", "directory where the benchmarks keep their Maildirs, on the file system of the temporary directory")

// profileDir gets a processor profile of gomaild for each comparison.
var profileDir = flag.String("profiles", "", "directory for a processor profile of the server under each benchmark beside Dovecot")

// profile runs job for three seconds more, for a profile of it.
func (p *pair) profile(b *testing.B, job func(turn int) error) {
	b.Helper()
	if *profileDir == "" {
		return
	}
	done := make(chan error, 1)
	go func() { done <- p.fetchProfile(filepath.Join(*profileDir, strings.ReplaceAll(b.Name(), "/", "_"))) }()
	for turn := 0; ; turn++ {
		if err := job(turn); err != nil {
			b.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				b.Fatal(err)
			}
			return
		default:
		}
	}
}

func (p *pair) fetchProfile(name string) error {
	return p.ours.fetch("/debug/pprof/profile?seconds=3", name)
}

// fetch writes what the server answers over HTTP into a file.
func (s *benchServer) fetch(query, name string) error {
	resp, err := http.Get(s.pprof + query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}

// BenchmarkDovecot is gomaild and the machine's own Dovecot side by side: the
// same Maildir (links to the same files), the same client, in turns, on
// loopback, warm unless the name says otherwise. Each sub-benchmark reports the
// time and the server's processor time of both, and the ratios. The targets are
// in docs/performance.md.
func BenchmarkDovecot(b *testing.B) {
	p := newPair(b, false)
	b.Run("Big", p.big)
	b.Run("Ten", p.ten)
}

// pair are the two servers.
type pair struct {
	world        *world
	ours, theirs *benchServer
	corpus       string
}

func newPair(b *testing.B, fastest bool) *pair {
	b.Helper()
	p := &pair{corpus: *corpusDir}
	if p.corpus == "" {
		p.corpus = b.TempDir()
	}
	p.ours, p.world = ourServer(b, 20)
	p.theirs = dovecotServer(b, p.world, fastest)
	return p
}

func (p *pair) both() []*benchServer { return []*benchServer{p.theirs, p.ours} }

// give makes the INBOX of a user on both one of n messages.
func (p *pair) give(b *testing.B, user string, n int) {
	b.Helper()
	dir := filepath.Join(p.corpus, fmt.Sprint("m", n))
	makeMaildir(b, dir, n)
	for _, s := range p.both() {
		s.give(b, user, dir)
	}
}

// sessions logs a user in on both and selects a mailbox.
func (p *pair) sessions(b *testing.B, user, mailbox string) map[*benchServer]*benchClient {
	b.Helper()
	clients := map[*benchServer]*benchClient{}
	for _, s := range p.both() {
		c, err := s.login(b.Context(), user)
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		b.Cleanup(c.close)
		if _, err := c.do("SELECT " + mailbox); err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		clients[s] = c
	}
	return clients
}

// spent is what something cost.
type spent struct {
	wall, cpu time.Duration
	least     time.Duration // wall of the shortest turn
}

// compare runs job on both servers in turns and reports what it cost for each of
// n things.
func (p *pair) compare(b *testing.B, turns, n int, job func(s *benchServer, turn int) error) {
	b.Helper()
	cost := map[*benchServer]*spent{p.ours: {}, p.theirs: {}}
	for b.Loop() {
		for turn := range turns {
			for _, s := range p.both() {
				cpu, start := s.cpu(b), time.Now()
				if err := job(s, turn); err != nil {
					b.Fatalf("%s: %v", s.name, err)
				}
				took := time.Since(start)
				c := cost[s]
				c.wall += took
				c.cpu += s.cpu(b) - cpu
				if c.least == 0 || took < c.least {
					c.least = took
				}
			}
		}
	}
	p.report(b, cost, turns*b.N, n)
	p.profile(b, func(turn int) error { return job(p.ours, turn%turns) })
}

func (p *pair) report(b *testing.B, cost map[*benchServer]*spent, turns, n int) {
	ours, theirs := cost[p.ours], cost[p.theirs]
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(turns) }
	us := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(turns) / float64(n) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(ours.wall), "our-ms")
	b.ReportMetric(ms(theirs.wall), "their-ms")
	b.ReportMetric(us(ours.cpu), "our-cpu-µs")
	b.ReportMetric(us(theirs.cpu), "their-cpu-µs")
	b.ReportMetric(float64(ours.wall)/float64(theirs.wall), "ratio")
	b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "cpu-ratio")
	b.ReportMetric(float64(ours.least)/float64(theirs.least), "least-ratio")
}

const (
	hundredThousand = 100_000
	tenThousand     = 10_000
)

// big is about a mailbox of 100 000 messages.
func (p *pair) big(b *testing.B) {
	p.give(b, benchUser(0), hundredThousand)
	b.Run("First", func(b *testing.B) { p.firstOpen(b) })
	clients := p.sessions(b, benchUser(0), "INBOX")
	// Both have their caches afterwards.
	warm := "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (References Date Subject)])"
	b.Run("FillCaches", func(b *testing.B) { p.commands(b, clients, 1, hundredThousand, warm) })
	b.Run("Select", func(b *testing.B) {
		p.compare(b, 10, 1, func(s *benchServer, _ int) error { return s.selectOnce(b.Context(), benchUser(0)) })
	})
	b.Run("Pop3", func(b *testing.B) {
		p.compare(b, 5, 1, func(s *benchServer, _ int) error { return s.maildrop(b.Context(), benchUser(0), hundredThousand) })
	})
	first := 0 // no two of the next are alike: an order that was asked for before is remembered
	b.Run("SortFirst", func(b *testing.B) {
		p.compare(b, 3, hundredThousand, func(s *benchServer, _ int) error {
			more := []string{"ARRIVAL", "REVERSE ARRIVAL", "SIZE", "REVERSE SIZE"}
			first++
			_, err := clients[s].do(fmt.Sprintf("SORT (SUBJECT %s %s) UTF-8 ALL", more[first%4], more[first/4%4]))
			return err
		})
	})
	b.Run("ThreadFirst", func(b *testing.B) {
		p.compare(b, 3, hundredThousand, func(s *benchServer, _ int) error {
			first++
			_, err := clients[s].do(fmt.Sprintf("THREAD REFERENCES UTF-8 NOT UID %d", first))
			return err
		})
	})
	b.Run("AfterPause", p.afterPause)
	for _, one := range []struct {
		name    string
		turns   int
		command string
	}{
		{"FetchAll", 3, "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"},
		{"FetchFlags", 5, "FETCH 1:* (FLAGS)"},
		{"FetchHeaderFields", 3, "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT TO REFERENCES)])"},
		{"SearchFlags", 10, "SEARCH UNSEEN FLAGGED"},
		{"SearchArrival", 10, "SEARCH SINCE 1-Jan-2021"},
		{"SearchSent", 10, "SEARCH SENTSINCE 1-Jan-2021"},
		{"SearchSubject", 5, "SEARCH SUBJECT invoice"},
		{"SearchHeader", 5, "SEARCH HEADER Message-ID \"<77.\""},
		{"SortArrival", 5, "SORT (REVERSE ARRIVAL) UTF-8 ALL"},
		{"SortDate", 5, "SORT (DATE) UTF-8 ALL"},
		{"SortSubject", 5, "SORT (SUBJECT) UTF-8 ALL"},
		{"SortFrom", 5, "SORT (FROM SIZE) UTF-8 ALL"},
		{"ThreadReferences", 3, "THREAD REFERENCES UTF-8 ALL"},
		{"ThreadRefs", 3, "THREAD REFS UTF-8 ALL"},
		{"ThreadSubject", 3, "THREAD ORDEREDSUBJECT UTF-8 ALL"},
	} {
		b.Run(one.name, func(b *testing.B) { p.commands(b, clients, one.turns, hundredThousand, one.command) })
	}
}

// afterPause is about webmail with a mailbox that nobody had open for a minute: login
// with SELECT, and in another session SORT and THREAD alone. Both servers did the same
// before. Ours lets a mailbox go when others with more messages than it remembers are
// opened; their processes end with each session.
func (p *pair) afterPause(b *testing.B) {
	const user, turns = 13, 3
	for _, u := range []int{user, user + 1, user + 2} {
		p.give(b, benchUser(u), hundredThousand)
	}
	// session is what the commands behind SELECT cost, or where there are none what
	// comes before them.
	session := func(s *benchServer, user int, commands ...string) (cost spent) {
		measured := func(do func() error) {
			cpu, start := s.cpu(b), time.Now()
			if err := do(); err != nil {
				b.Fatalf("%s: %v", s.name, err)
			}
			cost = spent{wall: time.Since(start), cpu: s.cpu(b) - cpu}
		}
		var c *benchClient
		measured(func() (err error) {
			if c, err = s.login(b.Context(), benchUser(user)); err == nil {
				_, err = c.do("SELECT INBOX")
			}
			return err
		})
		defer c.close()
		for _, command := range commands {
			measured(func() error {
				_, err := c.do(command)
				return err
			})
		}
		if _, err := c.do("LOGOUT"); err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		return cost
	}
	for _, one := range []struct {
		name     string
		commands []string
	}{
		{"Sort", []string{"SORT (SUBJECT) UTF-8 ALL"}},
		{"Thread", []string{"THREAD REFERENCES UTF-8 ALL"}},
		{"Select", nil},
	} {
		b.Run(one.name, func(b *testing.B) {
			cost := map[*benchServer]*spent{p.ours: {}, p.theirs: {}}
			for _, s := range p.both() {
				session(s, user, one.commands...)
			}
			for b.Loop() {
				for range turns {
					for _, s := range p.both() {
						session(s, user+1)
						session(s, user+2)
						this, all := session(s, user, one.commands...), cost[s]
						all.wall += this.wall
						all.cpu += this.cpu
						if all.least == 0 || this.wall < all.least {
							all.least = this.wall
						}
					}
				}
			}
			p.report(b, cost, turns*b.N, hundredThousand)
		})
	}
}

// commands measures a command after one run of it that does not count.
func (p *pair) commands(b *testing.B, clients map[*benchServer]*benchClient, turns, n int, command string) {
	b.Helper()
	if turns > 1 {
		octets := map[*benchServer]int64{}
		for s, c := range clients {
			var err error
			if octets[s], err = c.do(command); err != nil {
				b.Fatalf("%s: %s: %v", s.name, command, err)
			}
		}
		b.ReportMetric(float64(octets[p.ours]), "our-octets")
		b.ReportMetric(float64(octets[p.theirs]), "their-octets")
	}
	p.compare(b, turns, n, func(s *benchServer, _ int) error {
		_, err := clients[s].do(command)
		return err
	})
}

func (s *benchServer) selectOnce(ctx context.Context, user string) error {
	c, err := s.login(ctx, user)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		return err
	}
	_, err = c.do("LOGOUT")
	return err
}

// maildrop is a POP3 login into a mailbox of n messages.
func (s *benchServer) maildrop(ctx context.Context, user string, n int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.pop3)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, step := range [][2]string{
		{"", "+OK"}, {"USER " + user, "+OK"}, {"PASS " + password, "+OK"}, {"STAT", fmt.Sprintf("+OK %d ", n)}, {"QUIT", "+OK"},
	} {
		if step[0] != "" {
			if _, err := fmt.Fprintf(conn, "%s\r\n", step[0]); err != nil {
				return err
			}
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step[1]) {
			return fmt.Errorf("%s: %q, %w", step[0], line, err)
		}
	}
	return nil
}

// firstOpen is SELECT of a mailbox for which neither uidlist nor index is there,
// its directory in the page cache.
func (p *pair) firstOpen(b *testing.B) {
	const turns = 3
	for turn := range turns {
		p.give(b, benchUser(10+turn), hundredThousand)
	}
	p.compare(b, turns, 1, func(s *benchServer, turn int) error { return s.selectOnce(b.Context(), benchUser(10+turn)) })
}

// ten is about a mailbox of 10 000 messages.
func (p *pair) ten(b *testing.B) {
	p.give(b, benchUser(1), tenThousand)
	clients := p.sessions(b, benchUser(1), "INBOX")
	for _, one := range []struct {
		name    string
		turns   int
		command string
	}{
		{"FetchBodies", 3, "FETCH 1:* (BODY.PEEK[])"},
		{"SearchBody", 2, "SEARCH BODY nowheretobefound"},
		{"SearchText", 2, "SEARCH TEXT nowheretobefound"},
		{"SearchBodyCommon", 2, "SEARCH BODY \"kitchen printer\""},
	} {
		b.Run(one.name, func(b *testing.B) { p.commands(b, clients, one.turns, tenThousand, one.command) })
	}
	b.Run("Store", func(b *testing.B) {
		p.compare(b, 4, tenThousand, func(s *benchServer, turn int) error {
			sign := []string{"+", "-"}[turn%2]
			_, err := clients[s].do("STORE 1:* " + sign + "FLAGS.SILENT (\\Answered)")
			return err
		})
	})
	b.Run("Copy", func(b *testing.B) { p.copyMoveExpunge(b, clients) })
}

// copyMoveExpunge copies all messages to a mailbox, moves such copies to another, and
// expunges them. Each turn has mailboxes of its own.
func (p *pair) copyMoveExpunge(b *testing.B, clients map[*benchServer]*benchClient) {
	const turns = 2
	made := 0
	do := func(s *benchServer, commands ...string) {
		for _, command := range commands {
			if _, err := clients[s].do(command); err != nil {
				b.Fatalf("%s: %s: %v", s.name, command, err)
			}
		}
	}
	// What comes before is not measured; it gets the names of two new mailboxes.
	timed := func(label string, before func(from, to string) []string, command func(to string) string) {
		b.Run(label, func(b *testing.B) {
			cost := map[*benchServer]*spent{p.ours: {}, p.theirs: {}}
			for b.Loop() {
				for range turns {
					made++
					from, to := fmt.Sprint("from", made), fmt.Sprint("to", made)
					for _, s := range p.both() {
						do(s, "CREATE "+from, "CREATE "+to, "SELECT INBOX")
						do(s, before(from, to)...)
						cpu, start := s.cpu(b), time.Now()
						do(s, command(to))
						took := time.Since(start)
						c := cost[s]
						c.wall += took
						c.cpu += s.cpu(b) - cpu
						if c.least == 0 || took < c.least {
							c.least = took
						}
						do(s, "SELECT INBOX", "DELETE "+from, "DELETE "+to)
					}
				}
			}
			p.report(b, cost, turns*b.N, tenThousand)
		})
	}
	timed("Copy", func(string, string) []string { return nil }, func(to string) string { return "COPY 1:* " + to })
	timed("Move", func(from, _ string) []string {
		return []string{"COPY 1:* " + from, "SELECT " + from}
	}, func(to string) string { return "MOVE 1:* " + to })
	timed("Expunge", func(from, _ string) []string {
		return []string{"COPY 1:* " + from, "SELECT " + from, "STORE 1:* +FLAGS.SILENT (\\Deleted)"}
	}, func(string) string { return "EXPUNGE" })
}
