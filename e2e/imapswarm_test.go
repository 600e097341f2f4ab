package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// imapSwarm is many IMAP clients in one thread, as swarm is for SMTP: the server
// that is measured has the same processors. Each connects, sends its commands one
// after the other, each when the one before is answered OK, closes, and begins
// again. They look at nothing but the ends of replies.
type imapSwarm struct {
	to     unix.SockaddrInet4
	epoll  int
	script func(worker, run int) []string // what a session says; tags are put before it
	next   int                            // sessions begun
	n      int                            // and to be
	buf    []byte
}

// imapPage is one session.
type imapPage struct {
	fd       int
	commands []string
	said     int    // commands
	wanted   string // how the line begins that ends the present reply
	line     []byte // what has come of a line that has not ended
}

// swarm runs n sessions for so many clients at once and returns how many a second
// there were.
func (s *benchServer) swarm(b *testing.B, workers, n int, script func(worker, run int) []string) float64 {
	b.Helper()
	addr := netip.MustParseAddrPort(s.imap)
	all := imapSwarm{to: unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}, script: script, n: n, buf: make([]byte, 256<<10)}
	var err error
	if all.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	defer unix.Close(all.epoll)
	start := time.Now()
	if err := all.run(make([]imapPage, workers)); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	return float64(n) / time.Since(start).Seconds()
}

func (s *imapSwarm) run(pages []imapPage) error {
	busy := 0
	for worker := range pages {
		more, err := s.begin(pages, worker)
		if err != nil {
			return err
		}
		if more {
			busy++
		}
	}
	events := make([]unix.EpollEvent, len(pages))
	for busy > 0 {
		k, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(k, 0)] {
			more, err := s.hear(pages, int(e.Fd))
			if err != nil {
				return err
			}
			if !more {
				busy--
			}
		}
	}
	return nil
}

// begin connects for the next session; false if there is none.
func (s *imapSwarm) begin(pages []imapPage, worker int) (bool, error) {
	if s.next == s.n {
		return false, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	pages[worker] = imapPage{fd: fd, commands: s.script(worker, s.next), wanted: "* OK", line: pages[worker].line[:0]}
	s.next++
	if err := unix.Connect(fd, &s.to); err != nil {
		return false, err
	}
	return true, unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(worker)}) //nolint:gosec // small
}

// hear reads, and goes on when a reply has ended; false when there are no more
// sessions for the worker.
func (s *imapSwarm) hear(pages []imapPage, worker int) (bool, error) {
	p := &pages[worker]
	n, err := unix.Read(p.fd, s.buf)
	if err != nil || n == 0 {
		return true, fmt.Errorf("after %d commands: %d octets, %w", p.said, n, err)
	}
	ended, err := p.ends(s.buf[:n])
	if err != nil || !ended {
		return true, err
	}
	if p.said < len(p.commands) {
		return true, p.say()
	}
	if err := unix.Close(p.fd); err != nil {
		return true, err
	}
	return s.begin(pages, worker)
}

// ends reports whether what has come ends the reply.
func (p *imapPage) ends(got []byte) (bool, error) {
	last := bytes.LastIndexByte(got, '\n')
	if last < 0 {
		p.line = append(p.line, got...)
		return false, nil
	}
	line := got[:last]
	if at := bytes.LastIndexByte(line, '\n'); at >= 0 {
		line = line[at+1:]
	} else {
		line = append(p.line, line...)
	}
	ended := last == len(got)-1 && bytes.HasPrefix(line, []byte(p.wanted))
	if ended && !bytes.HasPrefix(line, []byte(p.wanted+"OK")) && p.said > 0 {
		return false, fmt.Errorf("reply %q", line)
	}
	p.line = append(p.line[:0], got[last+1:]...)
	return ended, nil
}

// say sends the next command.
func (p *imapPage) say() error {
	p.wanted = fmt.Sprintf("zq%d ", p.said)
	text := p.wanted + p.commands[p.said] + "\r\n"
	p.said++
	n, err := unix.Write(p.fd, []byte(text))
	if err == nil && n < len(text) {
		err = fmt.Errorf("wrote %d of %d octets", n, len(text))
	}
	return err
}
