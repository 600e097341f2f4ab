package delegation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// server answers each request with what answer says, "" closes the connection.
func server(t *testing.T, answer func(request string) string) (address string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go serve(conn, answer)
		}
	}()
	return l.Addr().String(), connections
}

func serve(conn net.Conn, answer func(string) string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	var request strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if line != "\n" {
			request.WriteString(line)
			continue
		}
		text := answer(request.String())
		if text == "" {
			return
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			return
		}
		request.Reset()
	}
}

// TestAsk holds what is sent, what counts as an answer, and that a connection
// is used again.
func TestAsk(t *testing.T) {
	t.Parallel()
	var next, got atomic.Value
	address, connections := server(t, func(request string) string {
		got.Store(request)
		return next.Load().(string)
	})
	c := New("tcp", address, 0)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct{ rule, answer, want string }{
		{"an action", "action=DUNNO\n\n", "DUNNO"},
		{"with text", "action=REJECT go away = now\n\n", "REJECT go away = now"},
		{"CRLF and blanks", "action = PREPEND X-A: b \r\n\r\n", "PREPEND X-A: b"},
		{"other names", "note=x\naction=DUNNO\n\n", "DUNNO"},
		{"the last of two", "action=OK\naction=DUNNO\n\n", "DUNNO"},
	} {
		next.Store(tt.answer)
		action, err := c.Ask(t.Context(), []Attr{{"request", "smtpd_access_policy"}, {"sender", "a\nrecipient=b"}})
		if err != nil || action != tt.want {
			t.Errorf("%s: %q, %v", tt.rule, action, err)
		}
	}
	if want := "request=smtpd_access_policy\nsender=a?recipient=b\n"; got.Load() != want {
		t.Errorf("sent %q", got.Load())
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, tt := range []struct{ rule, answer string }{
		{"no action", "note=x\n\n"},
		{"nothing", "\n"},
		{"a line without end", "action=" + strings.Repeat("x", 2*maxAnswer) + "\n\n"},
		{"lines without end", strings.Repeat("a=b\n", 2*maxLines) + "\n"},
		{"closed", ""},
	} {
		next.Store(tt.answer)
		if action, err := c.Ask(t.Context(), nil); err == nil {
			t.Errorf("%s: %q", tt.rule, action)
		}
	}
	next.Store("action=DUNNO\n\n")
	if action, err := c.Ask(t.Context(), nil); err != nil || action != "DUNNO" {
		t.Errorf("afterwards: %q, %v", action, err)
	}
}

// TestRestarted holds that a server that closed what was kept is asked anew.
func TestRestarted(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	address, connections := server(t, func(string) string {
		if n.Add(1) == 2 {
			return ""
		}
		return "action=DUNNO\n\n"
	})
	c := New("tcp", address, 0)
	defer c.Close()
	for range 3 {
		if _, err := c.Ask(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections", got)
	}
}

// TestSilent holds that a server that does not answer costs the timeout, and
// nothing after the end of the session.
func TestSilent(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	address, _ := server(t, func(string) string { <-hold; return "" })
	defer close(hold)
	c := New("tcp", address, 50*time.Millisecond)
	if _, err := c.Ask(t.Context(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New("tcp", address, time.Hour).Ask(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := New("unix", t.TempDir()+"/none", 0).Ask(t.Context(), nil); err == nil {
		t.Error("asked nobody")
	}
}

// TestPostgrey: a real server of the protocol puts off who is new.
func TestPostgrey(t *testing.T) {
	t.Parallel()
	program := peertest.Need(t, "postgrey", "postgrey")
	address := fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t))
	cmd := exec.CommandContext(t.Context(), program, "--inet="+address, "--dbdir="+t.TempDir(), "--delay=60", "--user=root", "--group=root")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	c := New("tcp", address, time.Minute)
	defer c.Close()
	request := []Attr{
		{"request", "smtpd_access_policy"}, {"protocol_state", "RCPT"}, {"protocol_name", "ESMTP"}, {"client_address", "192.0.2.7"},
		{"client_name", "unknown"}, {"helo_name", "r.test"}, {"sender", "s@r.test"}, {"recipient", "a@x.test"}, {"instance", "1"},
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		action, err := c.Ask(t.Context(), request)
		if err == nil {
			if !strings.HasPrefix(action, "DEFER_IF_PERMIT ") || !strings.Contains(action, "Greylisted") {
				t.Errorf("%q", action)
			}
			return
		}
		<-tick.C
	}
	t.Error("postgrey does not listen")
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("action=DUNNO\n\n")
	f.Add("action\n\n")
	f.Add("a=b\r\naction=x\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		action, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if err == nil && strings.ContainsAny(action, "\n") {
			t.Errorf("%q", action)
		}
	})
}
