package imap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// benchFetch measures FETCH 1:* on n messages over loopback, client included.
func benchFetch(b *testing.B, items string, n int) {
	w := newWorld(b, nil)
	c := w.login(w.listen())
	text := "From: a@example.test\nSubject: a message\n\n" + strings.Repeat("line of text\n", 300)
	for range n {
		w.put("INBOX", text, 0)
	}
	c.do("SELECT INBOX")
	c.r = bufio.NewReaderSize(c.conn, 64<<10)
	command := fmt.Sprintf("t FETCH 1:* %s\r\n", items)
	b.ResetTimer()
	for range b.N {
		c.send(command)
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				b.Fatal(err)
			}
			if strings.HasPrefix(string(line), "t OK") {
				break
			}
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkFetchFlags(b *testing.B) { benchFetch(b, "(UID FLAGS)", 5000) }
func BenchmarkFetchEnvelope(b *testing.B) {
	benchFetch(b, "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", 5000)
}
func BenchmarkFetchBody(b *testing.B) { benchFetch(b, "(BODY.PEEK[])", 2000) }

// BenchmarkSession measures login and logout without a database.
func BenchmarkSession(b *testing.B) {
	w := newWorld(b, nil)
	address := w.listen()
	for range b.N {
		c := w.login(address)
		c.do("LOGOUT")
		_, _ = io.Copy(io.Discard, c.r)
		c.conn.Close()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
}

// BenchmarkIdle measures what an idle session holds: memory of the process for
// each session in IDLE, the client's socket and the poller's share included.
func BenchmarkIdle(b *testing.B) {
	const sessions = 1000
	w := newWorld(b, nil)
	address := w.listen()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, 0, sessions)
	for range sessions {
		c := w.login(address)
		c.do("SELECT INBOX")
		c.send("t IDLE\r\n")
		c.line()
		conns = append(conns, c.conn)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	inUse := func(m *runtime.MemStats) uint64 { return m.HeapAlloc + m.StackInuse }
	b.ReportMetric(float64(inUse(&after)-inUse(&before))/sessions, "bytes/session")
	for _, c := range conns {
		c.Close()
	}
}
