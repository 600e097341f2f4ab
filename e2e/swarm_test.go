package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swarm is many SMTP clients in one thread, for the server's processors are the
// client's, too: who measures the server wants a client that costs little. Each
// connection speaks as smtpSender does: MAIL, RCPT and DATA in one packet, the
// content when all three are answered, and the next message when it has its 250.
type swarm struct {
	epoll    int
	conns    []*swarmConn
	begins   [][]byte // MAIL, RCPT and DATA for each user
	contents [][]byte // up to the final dot, in turn
	next, n  int      // messages begun, and to be sent
}

// swarmConn is one connection. Its socket blocks; it is read when there is
// something, and what is written fits into its buffer.
type swarmConn struct {
	file   *os.File
	fd     int
	number int      // of its message
	wanted []string // codes of the replies to come
	in     []byte   // a reply that has not ended
}

// dialSwarm connects and says EHLO. Messages are from the senders in turn, and
// to the users in turn.
func dialSwarm(b *testing.B, addr string, senders, users []string, conns int) *swarm {
	b.Helper()
	s := &swarm{conns: make([]*swarmConn, conns)}
	for i := range max(len(senders), len(users)) {
		s.begins = append(s.begins, fmt.Appendf(nil, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", senders[i%len(senders)], users[i%len(users)]))
	}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(s.epoll) })
	for i := range s.conns {
		sender, err := dialSMTP(b.Context(), addr)
		if err != nil {
			b.Fatal(err)
		}
		file, err := sender.conn.(*net.TCPConn).File()
		if err != nil {
			b.Fatal(err)
		}
		sender.conn.Close() // file is another descriptor of the same connection
		c := &swarmConn{file: file, fd: int(file.Fd()), in: make([]byte, 0, 4096)}
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
			b.Fatal(err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			b.Fatal(err)
		}
		s.conns[i] = c
	}
	return s
}

// close ends the connections.
func (s *swarm) close() {
	for _, c := range s.conns {
		_, _ = c.file.WriteString("QUIT\r\n")
		_ = c.file.Close()
	}
}

// send sends n messages to the users in turn, of the contents in turn, and
// returns how many a second were answered 250.
func (s *swarm) send(b *testing.B, n int, contents ...[]byte) float64 {
	b.Helper()
	s.contents = nil
	for _, content := range contents {
		s.contents = append(s.contents, append(bytes.Clone(content), ".\r\n"...))
	}
	s.next, s.n = 0, n
	start := time.Now()
	busy := 0
	for _, c := range s.conns {
		more, err := s.begin(c)
		if err != nil {
			b.Fatal(err)
		}
		if more {
			busy++
		}
	}
	events := make([]unix.EpollEvent, len(s.conns))
	for busy > 0 {
		k, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			b.Fatal(err)
		}
		for _, e := range events[:max(k, 0)] {
			more, err := s.hear(s.conns[e.Fd])
			if err != nil {
				b.Fatal(err)
			}
			if !more {
				busy--
			}
		}
	}
	return float64(n) / time.Since(start).Seconds()
}

// begin begins the next message; false if there is none.
func (s *swarm) begin(c *swarmConn) (bool, error) {
	if s.next == s.n {
		return false, nil
	}
	c.number = s.next
	group := s.begins[c.number%len(s.begins)]
	s.next++
	c.wanted = append(c.wanted[:0], "250", "250", "354")
	return true, c.write(group)
}

// hear reads replies, and goes on when all are there that were waited for;
// false when the connection has nothing left to do.
func (s *swarm) hear(c *swarmConn) (bool, error) {
	wasContent := len(c.wanted) == 1 && c.wanted[0] == "250"
	if err := c.read(); err != nil || len(c.wanted) > 0 {
		return true, err
	}
	if wasContent {
		return s.begin(c)
	}
	c.wanted = append(c.wanted, "250")
	return true, c.write(s.contents[c.number%len(s.contents)])
}

// read takes what replies there are off the list of those waited for.
func (c *swarmConn) read() error {
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if err != nil || n == 0 {
		return fmt.Errorf("read: %d octets, %w", n, err)
	}
	c.in = c.in[:len(c.in)+n]
	rest := c.in
	for {
		line, after, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			c.in = c.in[:copy(c.in, rest)]
			return nil
		}
		if len(c.wanted) == 0 || !bytes.HasPrefix(line, []byte(c.wanted[0]+" ")) {
			return fmt.Errorf("reply %q, wanted %q", line, c.wanted)
		}
		c.wanted = c.wanted[1:]
		rest = after
	}
}

func (c *swarmConn) write(p []byte) error {
	n, err := unix.Write(c.fd, p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("wrote %d of %d octets", n, len(p))
	}
	return err
}
