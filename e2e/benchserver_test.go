package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// nobody is whom Dovecot works as.
const nobody = 65534

// benchServer is a running IMAP server that is measured from outside.
type benchServer struct {
	name        string
	imap, imaps string // addresses
	pop3, lmtp  string
	conf        string // Dovecot's
	master      int    // process
	home        func(user string) string
	owner       int // of files
	pprof       string
}

// cpu is the processor time that the server and its processes used, those that
// have ended too.
func (s *benchServer) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	return familyCPU(tb, s.master)
}

// familyCPU is the processor time of a process, of its children, and of all who have
// ended below them.
func familyCPU(tb testing.TB, master int) time.Duration {
	tb.Helper()
	var ticks int64
	for _, p := range processes(tb, master) {
		ticks += p.own + p.reaped
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux
}

// pss is the memory that the server and its processes hold, in octets; what
// they share is counted once.
func (s *benchServer) pss(tb testing.TB) int64 {
	tb.Helper()
	var sum int64
	for _, p := range processes(tb, s.master) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				sum += kb << 10
			}
		}
	}
	return sum
}

type process struct {
	pid, parent int
	own, reaped int64 // ticks
}

// processes are a process and its children.
func processes(tb testing.TB, master int) []process {
	tb.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		tb.Fatal(err)
	}
	var family []process
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) < 15 {
			continue
		}
		number := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
		p := process{parent: int(number(1)), own: number(11) + number(12), reaped: number(13) + number(14)}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		if p.pid == master || p.parent == master {
			family = append(family, p)
		}
	}
	return family
}

// ourServer starts gomaild with n users "u0@example.test" and so on.
func ourServer(b *testing.B, users int) (*benchServer, *world) {
	b.Helper()
	metrics := fmt.Sprintf("%s:%d", host, peertest.FreePort(b))
	w := newWorldWith(b, fmt.Sprintf("metrics.address = %q\nmetrics.pprof = true\n", metrics), "trusted_networks = [\"127.0.0.0/8\"]\nmax_connections = 6000\n")
	hash := peertest.Run(b, "", peertest.Need(b, "sqlite3", "sqlite3"), filepath.Join(w.dir, "accounts.sqlite"),
		"SELECT password FROM mailbox WHERE username='alice@example.test'")
	var sql strings.Builder
	sql.WriteString("BEGIN;")
	for i := range users {
		user := benchUser(i)
		fmt.Fprintf(&sql, "INSERT INTO mailbox (username,password,name,maildir,quota,local_part,domain,active) VALUES ('%s','%s','','example.test/%s/',0,'u%d','example.test',1);", user, strings.TrimSpace(hash), user, i)
		fmt.Fprintf(&sql, "INSERT INTO alias (address,goto,domain,active) VALUES ('%s','%s','example.test',1);", user, user)
	}
	sql.WriteString("COMMIT;")
	peertest.Run(b, sql.String(), "sqlite3", filepath.Join(w.dir, "accounts.sqlite"))
	w.start(b)
	return &benchServer{name: "gomaild", imap: w.addr(w.imap), imaps: w.addr(w.imaps), pop3: w.addr(w.pop3), master: w.cmd.Process.Pid, home: w.maildir, owner: os.Getuid(), pprof: "http://" + metrics}, w
}

func benchUser(i int) string { return fmt.Sprintf("u%d@example.test", i) }

// dovecotServer starts the machine's own Dovecot on loopback: every process
// used again for other logins where fastest is set, else one for each login and
// session, as it is installed.
func dovecotServer(b *testing.B, w *world, fastest bool) *benchServer {
	b.Helper()
	program := peertest.Need(b, "/usr/sbin/dovecot", "dovecot-core")
	if os.Getuid() != 0 {
		b.Skip("SKIPPED: Dovecot's login processes want root")
	}
	dir, err := os.MkdirTemp("", "gomaild-dovecot")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	s := &benchServer{
		name: "dovecot",
		imap: fmt.Sprintf("%s:%d", host, peertest.FreePort(b)), imaps: fmt.Sprintf("%s:%d", host, peertest.FreePort(b)), pop3: fmt.Sprintf("%s:%d", host, peertest.FreePort(b)), lmtp: fmt.Sprintf("%s:%d", host, peertest.FreePort(b)),
		home:  func(user string) string { return filepath.Join(dir, "mail", user, "Maildir") },
		owner: nobody,
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "mail"), nobody, nobody); err != nil {
		b.Fatal(err)
	}
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	reuse := ""
	login := ""
	if fastest {
		login = "service_count = 0\n process_min_avail = 2\n client_limit = 8000\n"
		reuse = "service_count = 10000\n process_min_avail = 2\n"
	}
	s.conf = filepath.Join(dir, "dovecot.conf")
	writeFile(b, s.conf, fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap pop3 lmtp
listen = %[2]s
ssl = yes
ssl_cert = <%[8]s
ssl_key = <%[9]s
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100000
first_valid_uid = 1
first_valid_gid = 1
passdb {
 driver = static
 args = password=%[5]s
}
userdb {
 driver = static
 args = uid=%[10]d gid=%[10]d home=%[1]s/mail/%%u allow_all_users=yes
}
namespace inbox {
 inbox = yes
 separator = /
}
service imap-login {
 %[6]s
 process_limit = 8000
 inet_listener imap {
  port = %[3]s
 }
 inet_listener imaps {
  port = %[4]s
 }
}
service pop3-login {
 inet_listener pop3 {
  port = %[11]s
 }
 inet_listener pop3s {
  port = 0
 }
}
service lmtp {
 inet_listener lmtp {
  port = %[12]s
 }
}
service imap {
 %[7]s
 process_limit = 8000
}
service anvil {
 client_limit = 40000
}
service auth {
 client_limit = 40000
 unix_listener auth-userdb {
  mode = 0666
 }
}
`, dir, host, port(s.imap), port(s.imaps), password, login, reuse, w.certificate(), w.key(), nobody, port(s.pop3), port(s.lmtp)))
	cmd := exec.Command(program, "-F", "-c", s.conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	s.master = cmd.Process.Pid
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if b.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			b.Logf("log of Dovecot:\n%.20000s", log)
		}
	})
	awaitPort(b, s.imap)
	return s
}

func awaitPort(tb testing.TB, addr string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			tb.Fatalf("nobody listens on %s: %v", addr, err)
		}
	}
}

// give makes a Maildir the INBOX of a user, as links to the same files.
func (s *benchServer) give(tb testing.TB, user, maildir string) {
	tb.Helper()
	home := s.home(user)
	if err := os.MkdirAll(filepath.Dir(home), 0o700); err != nil {
		tb.Fatal(err)
	}
	_ = os.RemoveAll(home)
	peertest.Run(tb, "", "cp", "-al", maildir, home)
	if s.owner != os.Getuid() {
		for _, dir := range []string{filepath.Dir(home), home, home + "/cur", home + "/new", home + "/tmp"} {
			if err := os.Chown(dir, s.owner, s.owner); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// benchClient reads as fast as it can and looks at nothing but ends of replies.
type benchClient struct {
	conn net.Conn
	r    *bufio.Reader
	n    int
	last string // the tagged reply
}

func (s *benchServer) dial(ctx context.Context, onTLS bool) (*benchClient, error) {
	addr := s.imap
	if onTLS {
		addr = s.imaps
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if onTLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is our own
	}
	c := &benchClient{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	if _, err := c.r.ReadString('\n'); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (s *benchServer) login(ctx context.Context, user string) (*benchClient, error) {
	c, err := s.dial(ctx, false)
	if err != nil {
		return nil, err
	}
	if _, err := c.do(fmt.Sprintf("LOGIN %s %s", user, password)); err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

// do sends a command and reads to its tagged OK; it returns the octets that
// came before.
func (c *benchClient) do(command string) (int64, error) {
	if err := c.send(command); err != nil {
		return 0, err
	}
	return c.await()
}

func (c *benchClient) send(command string) error {
	c.n++
	_, err := fmt.Fprintf(c.conn, "zq%d %s\r\n", c.n, command)
	return err
}

func (c *benchClient) await() (int64, error) {
	tag := fmt.Sprintf("zq%d ", c.n)
	var octets int64
	atStart := true
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return octets, err
		}
		if atStart && strings.HasPrefix(string(line[:min(len(line), len(tag))]), tag) {
			c.last = string(line)
			if !strings.HasPrefix(c.last[len(tag):], "OK") {
				return octets, fmt.Errorf("reply %q", c.last)
			}
			return octets, nil
		}
		octets += int64(len(line))
		atStart = err == nil
	}
}

func (c *benchClient) close() { _ = c.conn.Close() }
