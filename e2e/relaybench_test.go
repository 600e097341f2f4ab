package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/delivery/queue"
	"gomaild/internal/durable"
	"gomaild/internal/peertest"
	"gomaild/mail"
	"gomaild/message"
)

// The relay benchmarks: messages that are queued go to destinations of one sink,
// each an address of its own on loopback.
const (
	relayed      = 10_000
	destinations = 20
	relayedSize  = 4000 // octets
)

// relaySink takes mail on the addresses of all destinations at one port and keeps
// nothing. The destination with the number dead takes connections and is silent.
type relaySink struct {
	port   int
	took   atomic.Int64
	enough chan struct{}
}

func newRelaySink(b *testing.B, dead, enough int) *relaySink {
	b.Helper()
	s := &relaySink{port: peertest.FreePort(b), enough: make(chan struct{})}
	var running sync.WaitGroup
	b.Cleanup(running.Wait) // after the listeners are closed
	for i := range destinations {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", destinationAddr(i), s.port))
		if err != nil {
			b.Fatal(err)
		}
		var open sync.Map
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				open.Store(conn, true)
				running.Go(func() {
					defer conn.Close()
					defer open.Delete(conn)
					if i == dead {
						_, _ = conn.Read(make([]byte, 1)) // until the end
						return
					}
					s.serve(conn, int64(enough))
				})
			}
		})
		b.Cleanup(func() {
			l.Close()
			open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		})
	}
	return s
}

func destinationAddr(i int) string { return fmt.Sprintf("127.0.1.%d", i+1) }

// serve is as much SMTP as a client of good manners needs.
func (s *relaySink) serve(conn net.Conn, enough int64) {
	r := bufio.NewReader(conn)
	w := bufio.NewWriter(conn)
	say := func(text string) bool {
		w.WriteString(text)
		return r.Buffered() > 0 || w.Flush() == nil
	}
	if !say("220 sink.test ESMTP\r\n") {
		return
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(string(line[:min(len(line), 4)])); verb {
		case "EHLO":
			say("250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
		case "DATA":
			if w.WriteString("354 Go on\r\n"); w.Flush() != nil {
				return
			}
			for {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
				if string(line) == ".\r\n" {
					break
				}
			}
			if s.took.Add(1) == enough {
				close(s.enough)
			}
			say("250 2.0.0 Taken\r\n")
		case "QUIT":
			say("221 Bye\r\n")
			w.Flush()
			return
		default:
			say("250 2.0.0 Ok\r\n")
		}
	}
}

// transports is a table of all destinations, "dN.test smtp:[address]:port".
func (s *relaySink) transports() string {
	var t strings.Builder
	for i := range destinations {
		fmt.Fprintf(&t, "d%d.test smtp:[%s]:%d\n", i, destinationAddr(i), s.port)
	}
	return t.String()
}

type memory struct{ *strings.Reader }

func (c memory) Size() int64 { return c.Reader.Size() }

type noAgent struct{}

func (noAgent) Deliver(_ context.Context, job queue.Job) []queue.Result {
	results := make([]queue.Result, len(job.To))
	for i := range results {
		results[i].Err = errors.New("not yet")
	}
	return results
}

// fillQueue puts the messages into the queue of a world that does not run.
func (w *world) fillQueue(b *testing.B, s *relaySink) {
	b.Helper()
	root, err := durable.OpenRoot(w.root)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	if err := durable.MkdirAll(root, ".gomaild/queue", 0o700); err != nil {
		b.Fatal(err)
	}
	dir, err := root.Sub(".gomaild/queue")
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	stopped, stop := context.WithCancel(b.Context())
	stop()
	q, err := queue.Open(stopped, queue.Config{FS: dir, Agent: noAgent{}, Tell: func(context.Context, queue.Notice, queue.Envelope, message.Content, []queue.Outcome) error {
		return nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", relayedSize/80)
	var next atomic.Int64
	var adding sync.WaitGroup
	for range 16 {
		adding.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= relayed {
					return
				}
				d := i % destinations
				e := queue.Envelope{From: mail.ReversePath{Address: mail.Address{Local: fmt.Sprint("s", i%50), Domain: "example.test"}}}
				e.To = []queue.Recipient{{
					Recipient:   mail.Recipient{Address: mail.Address{Local: "x", Domain: fmt.Sprintf("d%d.test", d)}},
					Destination: queue.Destination{Transport: "smtp", Host: destinationAddr(d), Port: uint16(s.port), NoMX: true, Direct: true},
				}}
				if _, err := q.Add(e, memory{strings.NewReader(text)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	adding.Wait()
}

// awaitSink waits for all messages and returns how long it took since start.
func (s *relaySink) await(b *testing.B, start time.Time) time.Duration {
	b.Helper()
	select {
	case <-s.enough:
	case <-time.After(100 * time.Second):
		b.Fatalf("%d messages came", s.took.Load())
	}
	return time.Since(start)
}

func relayGomaild(b *testing.B, dead int) time.Duration {
	b.Helper()
	enough := relayed
	if dead >= 0 {
		enough -= relayed / destinations
	}
	s := newRelaySink(b, dead, enough)
	w := newWorld(b, "dns.servers = [\"127.0.0.1:1\"]\n")
	w.fillQueue(b, s)
	start := time.Now()
	w.start(b)
	took := s.await(b, start)
	if dead < 0 {
		w.stop(b)
	} else {
		w.kill(b)
	}
	return took
}

// relayPostfix queues the messages while the transport is deferred, and measures
// from the flush on.
func relayPostfix(b *testing.B) time.Duration {
	b.Helper()
	s := newRelaySink(b, -1, relayed)
	p := startPostfix(b, 1, "")
	etc := filepath.Join(p.dir, "etc")
	writeFile(b, filepath.Join(etc, "transport"), s.transports())
	peertest.Run(b, "", "/usr/sbin/postconf", "-c", etc, "-e", "transport_maps=texthash:"+etc+"/transport", "defer_transports=smtp", "relayhost=")
	if err := os.Chmod(filepath.Join(etc, "transport"), 0o644); err != nil {
		b.Fatal(err)
	}
	peertest.Run(b, "", "/usr/sbin/postfix", "-c", etc, "reload")
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", relayedSize/80)
	var next atomic.Int64
	var adding sync.WaitGroup
	for range 16 {
		adding.Go(func() {
			c, err := gosmtp.Dial(fmt.Sprintf("%s:%d", host, p.port))
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			for {
				i := int(next.Add(1)) - 1
				if i >= relayed {
					return
				}
				if err := c.SendMail(fmt.Sprintf("s%d@example.test", i%50), []string{fmt.Sprintf("x@d%d.test", i%destinations)}, strings.NewReader(text)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	adding.Wait()
	await(b, "all messages to be deferred", func() bool {
		n := 0
		_ = filepath.Walk(filepath.Join(p.dir, "queue/deferred"), func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				n++
			}
			return nil
		})
		return n == relayed
	})
	peertest.Run(b, "", "/usr/sbin/postconf", "-c", etc, "-e", "defer_transports=")
	start := time.Now()
	peertest.Run(b, "", "/usr/sbin/postfix", "-c", etc, "reload")
	peertest.Run(b, "", "/usr/sbin/postqueue", "-c", etc, "-f")
	return s.await(b, start)
}

// BenchmarkRelay: 10 000 queued messages of 4 KB to a sink through 20
// destinations, beside Postfix, and with one dead destination among them.
func BenchmarkRelay(b *testing.B) {
	for b.Loop() {
		ours := relayGomaild(b, -1)
		dead := relayGomaild(b, 7)
		b.ReportMetric(relayed/ours.Seconds(), "gomaild-msg/s")
		b.ReportMetric(relayed*(destinations-1)/destinations/dead.Seconds(), "one-dead-msg/s")
		if os.Getenv("GOMAILD_BENCH_POSTFIX") == "0" {
			continue
		}
		theirs := relayPostfix(b)
		b.ReportMetric(relayed/theirs.Seconds(), "postfix-msg/s")
		b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
	}
}
