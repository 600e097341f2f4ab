package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/auth"
	"gomaild/internal/mariadbtest"
)

var mariadb mariadbtest.Shared

// Of the storms: as many clients as a node has that takes over, and few connections.
const (
	stormAccounts = 100
	stormClients  = 600
	stormConns    = 8 // accounts.max_conns
)

// TestLoginStorm: the server dies and starts again, and all clients are back at once.
// With a database that is slow each login asks it once, over a few connections, and
// gets its answer. With one that swallows everything, which costs most, the copy of
// the accounts lets in all whom it knows and says no to nobody, and the database is
// left alone but for a few tries.
func TestLoginStorm(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	name := fixture.EmptyMySQL(t, s, fixture.RowsRelease)
	s.Exec(t, name, stormRows(t))
	p := newSlowProxy(t, s.Addr())
	w := newWorld(t, "")
	snapshot := filepath.Join(w.dir, "own", "accounts")
	w.useMySQL(t, fmt.Sprintf("address = %q\ndatabase = %q\nuser = \"root\"\nmax_conns = %d\ntimeout = \"60s\"\nsnapshot = %q\n", p.addr(), name, stormConns, snapshot))

	w.start(t)
	awaitFile(t, snapshot)
	w.kill(t)

	p.slow(4 * time.Millisecond)
	w.start(t)
	p.count()
	waits := w.storm(t, stormClients)
	c := p.count()
	t.Logf("slow database: half are in after %v, all after %v; %d questions, %d connections at once", waits[len(waits)/2], waits[len(waits)-1], c.queries, c.most)
	// One for each login, one for each mailbox that is opened, and the copy's own.
	if c.queries > stormClients+2*stormAccounts || c.most > stormConns {
		t.Errorf("%d logins asked %d questions over %d connections at once", stormClients, c.queries, c.most)
	}
	if text := w.readLog(t); strings.Contains(text, "UNAVAILABLE") || strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("the log complains:\n%.2000s", text)
	}
	w.kill(t)

	w.editConfig(t, `timeout = "60s"`, `timeout = "1s"`)
	p.swallow(true)
	p.count()
	w.start(t)
	waits = w.storm(t, stormClients)
	for _, user := range []string{"nobody@example.test", "user0@elsewhere.test"} {
		if err := loginTLS(t.Context(), w.addr(w.imaps), user); err == nil || !strings.Contains(err.Error(), "[UNAVAILABLE]") {
			t.Errorf("login of %s, whom the copy does not know: %v", user, err)
		}
	}
	for to, want := range map[string]string{"user0@example.test": "250", "nobody@example.test": "451", "user0@elsewhere.test": "451"} {
		if got := w.rcptCode(t, to); got != want {
			t.Errorf("RCPT %s: %s, want %s", to, got, want)
		}
	}
	c = p.count()
	t.Logf("no database: half are in after %v, all after %v; it was tried %d times", waits[len(waits)/2], waits[len(waits)-1], c.accepted)
	if c.accepted > 2*stormConns {
		t.Errorf("%d logins tried a database that is away %d times", stormClients, c.accepted)
	}
	p.swallow(false)
	p.slow(0)
}

// stormRows is a domain and its mailboxes, all with one password.
func stormRows(t *testing.T) string {
	t.Helper()
	hash, err := auth.Hash("SSHA512", password)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("INSERT INTO domain (domain,description,transport,active) VALUES ('example.test','','virtual',1);")
	for i := range stormAccounts {
		fmt.Fprintf(&b, "INSERT INTO mailbox (username,password,name,maildir,quota,local_part,domain,active) VALUES ('user%[1]d@example.test','%[2]s','','example.test/user%[1]d@example.test/',0,'user%[1]d','example.test',1);", i, hash)
	}
	return b.String()
}

// storm logs in so many at once, each of whom must be let in at once, and is how
// long they waited, in their order.
func (w *world) storm(t *testing.T, clients int) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var waits []time.Duration
	begun := time.Now()
	spread(t, clients, clients, func(_, run int) error {
		err := loginTLS(t.Context(), w.addr(w.imaps), fmt.Sprintf("user%d@example.test", run%stormAccounts))
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, time.Since(begun))
		return err
	})
	return waits
}

// useMySQL puts other keys into [accounts].
func (w *world) useMySQL(t *testing.T, keys string) {
	t.Helper()
	w.editConfig(t, fmt.Sprintf("[accounts]\npath = %q\n", filepath.Join(w.dir, "accounts.sqlite")), "[accounts]\ndriver = \"mysql\"\n"+keys)
}

func (w *world) editConfig(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("the configuration has no %q", from)
	}
	writeFile(t, w.config, strings.Replace(string(text), from, to, 1))
}

// rcptCode is the code that the MX gives a recipient.
func (w *world) rcptCode(t *testing.T, to string) string {
	t.Helper()
	s, err := dialSMTP(t.Context(), w.addr(w.mx))
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	if _, err := fmt.Fprintf(s.conn, "MAIL FROM:<s@far.test>\r\nRCPT TO:<%s>\r\n", to); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		line, err := s.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line, "250 2.1.0") {
			return line[:3]
		}
	}
	return "nothing"
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, name string) {
	t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for deadline := time.After(60 * time.Second); ; {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%s does not come to be", name)
		}
	}
}

// slowProxy stands before a MySQL server, takes its time for each command, and
// counts what passes.
type slowProxy struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup
	delay    atomic.Int64
	silent   atomic.Bool

	mu    sync.Mutex // guards what follows
	ended bool
	conns map[net.Conn]struct{}
	passed
}

// passed is what was seen since the last look.
type passed struct {
	accepted int // connections
	most     int // of them at once
	queries  int
}

func newSlowProxy(t *testing.T, server string) *slowProxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &slowProxy{listener: l, server: server, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.ended = true
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *slowProxy) addr() string         { return p.listener.Addr().String() }
func (p *slowProxy) slow(d time.Duration) { p.delay.Store(int64(d)) }
func (p *slowProxy) swallow(on bool)      { p.silent.Store(on) }

// count is what passed since the last call.
func (p *slowProxy) count() passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.passed
	p.passed = passed{most: len(p.conns)}
	return seen
}

func (p *slowProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.ended {
			p.mu.Unlock()
			client.Close()
			return
		}
		p.conns[client] = struct{}{}
		p.accepted++
		p.most = max(p.most, len(p.conns))
		p.mu.Unlock()
		p.wg.Go(func() {
			p.serve(client)
			client.Close()
			p.mu.Lock()
			delete(p.conns, client)
			p.mu.Unlock()
		})
	}
}

func (p *slowProxy) serve(client net.Conn) {
	if p.silent.Load() {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.wg.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	// A packet is its length in three octets, its number, and so many octets; number
	// 0 begins a command, of which 3 is a query (COM_QUERY).
	for {
		var head [4]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return
		}
		packet := make([]byte, 4+(int(head[0])|int(head[1])<<8|int(head[2])<<16))
		copy(packet, head[:])
		if _, err := io.ReadFull(client, packet[4:]); err != nil {
			return
		}
		if head[3] == 0 && len(packet) > 4 && packet[4] == 3 {
			p.mu.Lock()
			p.queries++
			p.mu.Unlock()
			<-time.After(time.Duration(p.delay.Load()))
		}
		if _, err := server.Write(packet); err != nil {
			return
		}
	}
}
