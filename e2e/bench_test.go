package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// mailboxes is how many the load is spread over.
const mailboxes = 200

// manyUsers starts a world with 200 mailboxes.
func manyUsers(b *testing.B) (*world, []string) {
	w := newWorld(b, "")
	users := w.addUsers(b, mailboxes)
	w.start(b)
	return w, users
}

// BenchmarkInbound is the whole way of a message from a strange client into a
// Maildir, answered when it is durable, against the machine's own limit
// measured in the same run: one file after another written, synced, renamed and
// its directory synced, at the same concurrency, with no server in between.
// What the journal owes the disk at the end of a turn is paid in that turn: both
// start with nothing to be written, and ours ends with a sync of all.
// Target: ratio at least 0.7 up to 32 connections and 1.0 at 64.
func BenchmarkInbound(b *testing.B) {
	w, users := manyUsers(b)
	maildirs := make([]string, len(users))
	for i, user := range users {
		maildirs[i] = w.maildir(user)
	}
	w.inbound(b, users, 8, len(users), content(100)) // makes the Maildirs
	for _, size := range []int{4 << 10, 20 << 10} {
		for _, conns := range []int{1, 8, 32, 64} {
			b.Run(fmt.Sprintf("%dKB/%dconns", size>>10, conns), func(b *testing.B) {
				n := min(12000, 1200*conns)
				data := content(size)
				const turns = 4 // the disk has moods; both shall meet all of them
				var bare, ours float64
				for b.Loop() {
					for range turns {
						unix.Sync()
						bare += bareLoop(b, maildirs, conns, n/turns, data) / turns
						unix.Sync()
						ours += rateWith(w.inbound(b, users, conns, n/turns, data), n/turns, unix.Sync) / turns
					}
				}
				b.ReportMetric(ours/float64(b.N), "msg/s")
				b.ReportMetric(bare/float64(b.N), "bare/s")
				b.ReportMetric(ours/bare, "ratio")
			})
		}
	}
}

// rateWith is the rate of n messages when rest had to be done, too.
func rateWith(rate float64, n int, rest func()) float64 {
	start := time.Now()
	rest()
	return float64(n) / (float64(n)/rate + time.Since(start).Seconds())
}

// inbound sends n messages to the users in turn over conns connections, and
// returns how many a second were answered 250.
func (w *world) inbound(b *testing.B, users []string, conns, n int, data []byte) float64 {
	s := dialSwarm(b, w.addr(w.mx), []string{"sender@remote.invalid"}, users, conns)
	defer s.close()
	return s.send(b, n, data)
}

// BenchmarkDeliver starts `gomaild deliver` once for each message, through the
// daemon's socket, against a Go program that exits at once. Target: at least
// 300 a second or a ratio of 0.7, whichever is lower.
func BenchmarkDeliver(b *testing.B) {
	w, users := manyUsers(b)
	w.inbound(b, users, 8, len(users), content(100)) // makes the Maildirs
	idle := emptyProgram(b)
	message := content(4 << 10)
	const n, workers = 400, 4
	var bare, ours float64
	for b.Loop() {
		bare += spread(b, workers, n, func(_, _ int) error { return exec.Command(idle).Run() })
		ours += spread(b, workers, n, func(_, run int) error {
			cmd := exec.Command(gomaild(b), "deliver", "-c", w.config, "-f", "sender@remote.invalid", "-d", users[run%mailboxes])
			cmd.Stdin = bytes.NewReader(message)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("deliver: %w: %s", err, out)
			}
			return nil
		})
	}
	b.ReportMetric(ours/float64(b.N), "processes/s")
	b.ReportMetric(bare/float64(b.N), "empty/s")
	b.ReportMetric(ours/bare, "ratio")
}

// emptyProgram builds a Go program that does nothing.
func emptyProgram(b *testing.B) string {
	dir := b.TempDir()
	writeFile(b, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n")
	out := filepath.Join(dir, "empty")
	cmd := exec.Command("go", "build", "-o", out, filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	return out
}

// BenchmarkLogin is connect, LOGIN, LOGOUT over IMAP without TLS, as webmail on
// a trusted network does it for each page: SQL each time, the verification from
// the cache. Target: 2000 a second.
func BenchmarkLogin(b *testing.B) {
	w := newWorldWith(b, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	w.start(b)
	login := func() error { return loginLogout(b.Context(), w.addr(w.imap), "alice@example.test", password) }
	if err := login(); err != nil { // the first one fills the cache
		b.Fatal(err)
	}
	const n, workers = 4000, 8
	var rate float64
	for b.Loop() {
		rate += spread(b, workers, n, func(_, _ int) error { return login() })
	}
	b.ReportMetric(rate/float64(b.N), "logins/s")
}

func loginLogout(ctx context.Context, addr, user, password string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	for _, command := range []string{fmt.Sprintf("1 LOGIN %q %q", user, password), "2 LOGOUT"} {
		if err := imapCommand(conn, r, command); err != nil {
			return err
		}
	}
	return nil
}

// imapCommand sends a command and reads to its tagged OK.
func imapCommand(conn net.Conn, r *bufio.Reader, command string) error {
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return err
	}
	tag, _, _ := strings.Cut(command, " ")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return fmt.Errorf("%s: %s", command, line)
			}
			return nil
		}
	}
}

// BenchmarkMemory holds a message of 50 MB in flight on 100 connections at once
// and looks at the server's resident memory. Target: below 300 MB.
func BenchmarkMemory(b *testing.B) {
	const conns, size, limit = 100, 49 << 20, 300 << 20
	w, users := manyUsers(b)
	piece := content(1 << 20)
	for b.Loop() {
		var g errgroup.Group
		for i := range conns {
			g.Go(func() error { return w.almostSend(b.Context(), users[i], piece, size/len(piece)) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	peak := w.peakMemory(b)
	b.ReportMetric(float64(peak)/(1<<20), "MB-RSS")
	if peak > limit {
		b.Errorf("%d MB resident, the limit is %d MB", peak>>20, limit>>20)
	}
}

// almostSend sends a message but for its last line, so that all of it is in the
// server's hands, and hangs up.
func (w *world) almostSend(ctx context.Context, to string, piece []byte, pieces int) error {
	s, err := dialSMTP(ctx, w.addr(w.mx))
	if err != nil {
		return err
	}
	defer s.conn.Close()
	if _, err := fmt.Fprintf(s.conn, "MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n", to); err != nil {
		return err
	}
	for _, code := range []string{"250", "250", "354"} {
		if err := s.expect(code); err != nil {
			return err
		}
	}
	for range pieces {
		if _, err := s.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// peakMemory is the high-water mark of the server's resident memory, in octets.
func (w *world) peakMemory(tb testing.TB) int64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return kb << 10
		}
	}
	tb.Fatal("no VmHWM")
	return 0
}
