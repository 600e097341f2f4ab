package maillog

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// TestSyslog holds the form of a datagram, that a syslog that was restarted gets
// the next line, and that a line is never longer than it takes.
// TestSyslog is not parallel: a process that another test starts holds our
// sockets between its fork and its exec, and "to nobody" would reach it.
func TestSyslog(t *testing.T) {
	path := t.TempDir() + "/log"
	if _, err := DialSyslog(path); err == nil {
		t.Fatal("connected to nobody")
	}
	server := listen(t, path)
	s, err := DialSyslog(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(NewEncoded(s, func(w io.Writer) slog.Handler {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
	})).With("k", "v").WithGroup("g")
	for level, number := range map[slog.Level]int{slog.LevelError: 19, slog.LevelWarn: 20, slog.LevelInfo: 22} {
		log.Log(t.Context(), level, "hello", "n", 1)
		got := receive(t, server)
		head := fmt.Sprintf("<%d>%s ", number, time.Now().Format("Jan _2"))
		tail := fmt.Sprintf(` gomaild[%d]: {"level":"%s","msg":"hello","k":"v","g":{"n":1}}`, os.Getpid(), level)
		if !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
			t.Errorf("%q, want %q ... %q", got, head, tail)
		}
	}
	server.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// A child of another test may hold the socket open until it has become
	// another program: then a line or two still find it.
	for err = nil; err == nil; {
		err = s.WriteLine(Line{Text: "to nobody"})
	}
	server = listen(t, path)
	if err := s.WriteLine(Line{Level: slog.LevelDebug, Tag: "x", Text: strings.Repeat("a", 1<<20)}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, server); len(got) != maxDatagram || !strings.HasPrefix(got, "<23>") {
		t.Errorf("%d octets, %.10q", len(got), got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
