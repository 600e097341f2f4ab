package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// smtpSender is the least client that can keep a server busy: one connection,
// MAIL, RCPT and DATA in one packet, no parsing beyond reply codes.
type smtpSender struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

func dialSMTP(ctx context.Context, addr string) (*smtpSender, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &smtpSender{conn: conn, r: bufio.NewReader(conn)}
	if err := s.expect("220"); err != nil {
		return nil, err
	}
	if err := s.command("EHLO load.test", "250"); err != nil {
		return nil, err
	}
	return s, nil
}

// expect reads one reply, which may have many lines.
func (s *smtpSender) expect(code string) error {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("reply %q, want %s", line, code)
		}
		if len(line) > 3 && line[3] == ' ' {
			return nil
		}
	}
}

func (s *smtpSender) command(line, code string) error {
	if _, err := fmt.Fprintf(s.conn, "%s\r\n", line); err != nil {
		return err
	}
	return s.expect(code)
}

// send hands over one message; content ends in CRLF and needs no stuffing.
func (s *smtpSender) send(to string, content []byte) error {
	if _, err := fmt.Fprintf(s.conn, "MAIL FROM:<sender@remote.invalid>\r\nRCPT TO:<%s>\r\nDATA\r\n", to); err != nil {
		return err
	}
	for _, code := range []string{"250", "250", "354"} {
		if err := s.expect(code); err != nil {
			return err
		}
	}
	s.out = append(append(s.out[:0], content...), ".\r\n"...)
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	return s.expect("250")
}

func (s *smtpSender) close() {
	_ = s.command("QUIT", "221")
	_ = s.conn.Close()
}

// content is a message of about size octets in lines of 72.
func content(size int) []byte {
	var b strings.Builder
	b.WriteString("From: sender@remote.invalid\r\nTo: list@example.test\r\nSubject: load\r\nMessage-ID: <load@remote.invalid>\r\n\r\n")
	line := strings.Repeat("all work and no play ", 4)[:70] + "\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	return []byte(b.String())
}

// spread runs job n times on workers goroutines and returns how many were done
// in a second. job gets the worker and the number of the run.
func spread(tb testing.TB, workers, n int, job func(worker, run int) error) float64 {
	tb.Helper()
	var next atomic.Int64
	var g errgroup.Group
	start := time.Now()
	for w := range workers {
		g.Go(func() error {
			for {
				run := int(next.Add(1)) - 1
				if run >= n {
					return nil
				}
				if err := job(w, run); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
	return float64(n) / time.Since(start).Seconds()
}

// bareLoop is the machine's own limit for delivery, one message after another
// in each worker: write, fsync, rename, fsync of the directory. It works in the
// server's own Maildirs: how fast ext4 makes a file depends on what was deleted
// lately in the block group of its directory.
func bareLoop(tb testing.TB, maildirs []string, workers, n int, data []byte) float64 {
	tb.Helper()
	series := time.Now().UnixNano()
	return spread(tb, workers, n, func(_, run int) error {
		dir, name := maildirs[run%len(maildirs)], fmt.Sprintf("%d.bare%d", series, run)
		tmp, final := filepath.Join(dir, "tmp", name), filepath.Join(dir, "new", name)
		if err := writeSynced(tmp, data); err != nil {
			return err
		}
		if err := os.Rename(tmp, final); err != nil {
			return err
		}
		return syncDir(filepath.Join(dir, "new"))
	})
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
