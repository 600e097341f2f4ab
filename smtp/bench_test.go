package smtp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// discard is a Receiver that reads all and keeps nothing.
type discard struct{}

func (discard) Begin(context.Context, Client, mail.ReversePath) (Transaction, error) {
	return &discarding{}, nil
}

type discarding struct{ results [1]error }

func (*discarding) AddRecipient(context.Context, mail.Recipient) error { return nil }
func (*discarding) Abort()                                             {}

func (d *discarding) Commit(_ context.Context, content io.Reader) []error {
	_, err := io.Copy(io.Discard, content)
	d.results[0] = err
	return d.results[:]
}

// peerSession is the same for go-smtp.
type peerSession struct{}

func (peerSession) Reset()                                 {}
func (peerSession) Logout() error                          { return nil }
func (peerSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (peerSession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }
func (peerSession) Data(r io.Reader) error                 { _, err := io.Copy(io.Discard, r); return err }

// startPeer runs a go-smtp server on loopback until the test ends.
func startPeer(t testing.TB, backend gosmtp.Backend) (*gosmtp.Server, string) {
	t.Helper()
	srv := gosmtp.NewServer(backend)
	srv.Domain = "peer.example.org"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		running.Wait()
	})
	return srv, l.Addr().String()
}

// BenchmarkReceive accepts and throws away messages, client and server on the
// same processors. The client pipelines MAIL, RCPT and DATA. The metric
// x/go-smtp is how many times the messages per second of go-smtp's server, fed
// by the same client in the same run.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, conns := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("size=%dK/conns=%d", size>>10, conns), func(b *testing.B) {
				content := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72) + ".\r\n")
				ours := serve(b, New(Config{Hostname: "mx.example.org", Receiver: discard{}, Limits: Limits{MaxTransactions: -1}}), nil)
				_, theirs := startPeer(b, gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return peerSession{}, nil }))

				b.ReportAllocs()
				b.SetBytes(int64(size))
				b.ResetTimer()
				took := load(b, ours, conns, b.N, content)
				b.StopTimer()
				n := min(b.N, 20000)
				peer := load(b, theirs, conns, n, content)
				b.ReportMetric(float64(b.N)/took.Seconds(), "msg/s")
				b.ReportMetric(float64(b.N)/took.Seconds()/(float64(n)/peer.Seconds()), "x/go-smtp")
			})
		}
	}
}

// load sends n messages over so many connections and returns how long it took.
func load(b *testing.B, addr string, conns, n int, content []byte) time.Duration {
	var clients sync.WaitGroup
	start := time.Now()
	for i := range conns {
		share := n / conns
		if i < n%conns {
			share++
		}
		clients.Go(func() {
			if err := sendMany(addr, share, content); err != nil {
				b.Error(err)
			}
		})
	}
	clients.Wait()
	return time.Since(start)
}

func sendMany(addr string, n int, content []byte) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func(send []byte, codes ...byte) error {
		if _, err := conn.Write(send); err != nil {
			return err
		}
		for _, code := range codes {
			line, err := in.ReadSlice('\n')
			if err != nil || line[0] != code {
				return fmt.Errorf("%q, %w", line, err)
			}
		}
		return nil
	}
	if _, err := reply.Read(in); err != nil {
		return err
	}
	if err := ask([]byte("EHLO client.example.net\r\n")); err != nil {
		return err
	}
	if _, err := reply.Read(in); err != nil {
		return err
	}
	envelope := []byte("MAIL FROM:<carol@example.net>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
	for range n {
		if err := ask(envelope, '2', '2', '3'); err != nil {
			return err
		}
		if err := ask(content, '2'); err != nil {
			return err
		}
	}
	return ask([]byte("QUIT\r\n"), '2')
}
