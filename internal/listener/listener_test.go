package listener

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// handlerFunc is a Handler.
type handlerFunc func(ctx context.Context, drain <-chan struct{}, conn net.Conn)

func (f handlerFunc) Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn) {
	f(ctx, drain, conn)
}

// pipeListener is a net.Listener on net.Pipe, for tests of time and of failing
// accepts.
type pipeListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects as the given address.
func (p *pipeListener) dial(addr string) net.Conn {
	client, server := net.Pipe()
	p.conns <- addressed{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1024))}
	return client
}

type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

// start runs a listener over ln until the test ends.
func start(t *testing.T, cfg Config, ln net.Listener) *Listener {
	t.Helper()
	l := New(cfg)
	l.ln = ln
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func stop(t *testing.T, l *Listener) {
	t.Helper()
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := l.Open(); n != 0 {
		t.Errorf("%d connections after Stop", n)
	}
}

// untilDrained greets, and keeps the connection until the listener drains.
var untilDrained = handlerFunc(func(_ context.Context, drain <-chan struct{}, conn net.Conn) {
	_, _ = io.WriteString(conn, "hello\r\n")
	<-drain
	_, _ = io.WriteString(conn, "bye\r\n")
})

// readAll is what comes until the other side closes.
func readAll(t *testing.T, conn net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	return string(b)
}

func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != want {
		t.Errorf("got %q, %v, want %q", b, err, want)
	}
}

func TestServesOnTCP(t *testing.T) {
	t.Parallel()
	l := New(Config{Name: "test", Address: "127.0.0.1:0", Handler: untilDrained})
	if err := l.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, conn, "hello\r\n")
	stop(t, l)
	if got := readAll(t, conn); got != "bye\r\n" {
		t.Errorf("after Stop the client read %q", got)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is open after Stop")
	}
}

func TestListenNamesTheFault(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		rule string
		cfg  Config
		want string
	}{
		{"a port that is taken", Config{Name: "imap", Address: taken.Addr().String(), Handler: untilDrained}, "listener imap: "},
		{"an address that is not ours", Config{Name: "imap", Address: "192.0.2.1:0", Handler: untilDrained}, "192.0.2.1"},
		{"no handler", Config{Name: "imap", Address: "127.0.0.1:0"}, "no handler"},
		{"a directory that does not exist", Config{Network: "unix", Address: "/nonexistent/lmtp", Handler: untilDrained}, "/nonexistent"},
	} {
		l := New(tc.cfg)
		err := l.Listen(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", tc.rule, err, tc.want)
		}
		if l.Start(t.Context()) == nil {
			t.Errorf("%s: Start works without Listen", tc.rule)
		}
		if err := l.Stop(t.Context()); err != nil {
			t.Errorf("%s: Stop after a failed start: %v", tc.rule, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rule    string
		cfg     Config
		clients []string // all stay connected, except the last, which is refused if busy
		busy    bool
	}{
		{"below the total", Config{MaxConns: 2}, []string{"192.0.2.1", "192.0.2.2"}, false},
		{"over the total", Config{MaxConns: 2}, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, true},
		{"no limit in total", Config{MaxConns: -1}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, false},
		{"over the limit of an IPv4 address", Config{MaxPerClient: 1}, []string{"192.0.2.1", "192.0.2.1"}, true},
		{"another IPv4 address is another client", Config{MaxPerClient: 1}, []string{"192.0.2.1", "192.0.2.2"}, false},
		{"an IPv6 /64 is one client", Config{MaxPerClient: 1}, []string{"2001:db8::1", "2001:db8::ffff"}, true},
		{"another /64 is another client", Config{MaxPerClient: 1}, []string{"2001:db8::1", "2001:db8:0:1::1"}, false},
		{"exempt networks have no limit per client", Config{MaxPerClient: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, []string{"127.0.0.1", "127.0.0.1"}, false},
		{"exempt networks count in total", Config{MaxConns: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, []string{"127.0.0.1", "127.0.0.1"}, true},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			t.Parallel()
			tc.cfg.Handler, tc.cfg.Busy = untilDrained, "421 busy\r\n"
			ln := newPipeListener()
			l := start(t, tc.cfg, ln)
			var conns []net.Conn
			for i, addr := range tc.clients {
				conn := ln.dial(addr)
				if tc.busy && i == len(tc.clients)-1 {
					if got := readAll(t, conn); got != "421 busy\r\n" {
						t.Errorf("the refused client read %q", got)
					}
					break
				}
				expect(t, conn, "hello\r\n")
				conns = append(conns, conn)
			}
			for _, c := range conns {
				c.Close()
			}
			stop(t, l)
		})
	}
}

func TestLimitIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		served := 0
		l := start(t, Config{MaxConns: 1, MaxPerClient: 1, Handler: handlerFunc(func(_ context.Context, _ <-chan struct{}, conn net.Conn) {
			_, _ = io.Copy(io.Discard, conn)
			served++
		})}, ln)
		for range 3 {
			ln.dial("192.0.2.1").Close()
			synctest.Wait()
		}
		stop(t, l)
		if served != 3 || len(l.clients) != 0 {
			t.Errorf("served %d of 3, clients still counted: %v", served, l.clients)
		}
	})
}

func TestStopGrace(t *testing.T) {
	t.Parallel()
	t.Run("a message in progress is finished", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipeListener()
			l := start(t, Config{Handler: handlerFunc(func(_ context.Context, drain <-chan struct{}, conn net.Conn) {
				<-drain
				time.Sleep(3 * time.Second)
				_, _ = io.WriteString(conn, "250 ok\r\n")
			})}, ln)
			conn := ln.dial("192.0.2.1")
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin := time.Now()
			go expect(t, conn, "250 ok\r\n")
			if err := l.Stop(ctx); err != nil || time.Since(begin) != 3*time.Second {
				t.Errorf("Stop returned %v after %v", err, time.Since(begin))
			}
		})
	})
	t.Run("the end of the grace closes connections and still waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipeListener()
			var handlerErr, ctxErr error
			l := start(t, Config{Name: "smtp", Handler: handlerFunc(func(ctx context.Context, _ <-chan struct{}, conn net.Conn) {
				_, handlerErr = conn.Read(make([]byte, 1))
				time.Sleep(time.Second) // cleans up
				ctxErr = ctx.Err()
			})}, ln)
			conn := ln.dial("192.0.2.1")
			defer conn.Close()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			begin := time.Now()
			err := l.Stop(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 11*time.Second {
				t.Errorf("Stop returned %v after %v", err, time.Since(begin))
			}
			if handlerErr == nil || ctxErr == nil {
				t.Errorf("the handler saw %v and context error %v", handlerErr, ctxErr)
			}
			if err := l.Stop(t.Context()); err != nil {
				t.Errorf("second Stop: %v", err)
			}
		})
	})
	t.Run("the end of Start's context closes all at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipeListener()
			l := New(Config{Handler: handlerFunc(func(_ context.Context, _ <-chan struct{}, conn net.Conn) {
				_, _ = io.Copy(io.Discard, conn)
			})})
			l.ln = ln
			ctx, cancel := context.WithCancel(t.Context())
			if err := l.Start(ctx); err != nil {
				t.Fatal(err)
			}
			conn := ln.dial("192.0.2.1")
			defer conn.Close()
			synctest.Wait()
			cancel()
			synctest.Wait()
			if l.Open() != 0 {
				t.Error("a connection is open")
			}
			stop(t, l)
		})
	})
}

func TestAcceptErrorsPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		l := start(t, Config{Handler: untilDrained}, ln)
		begin := time.Now()
		for range 10 {
			ln.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		conn := ln.dial("192.0.2.1")
		expect(t, conn, "hello\r\n")
		// 5, 10, 20 ... 640 ms, 1 s, 1 s
		if got, want := time.Since(begin), 1275*time.Millisecond+2*time.Second; got != want {
			t.Errorf("10 errors were taken in %v, want %v", got, want)
		}
		ln.errs <- syscall.EMFILE // Stop must not wait for a pause
		go io.Copy(io.Discard, conn)
		begin = time.Now()
		stop(t, l)
		if got := time.Since(begin); got != 0 {
			t.Errorf("Stop waited %v", got)
		}
	})
}

func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ln := newPipeListener()
	l := start(t, Config{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: handlerFunc(func(_ context.Context, _ <-chan struct{}, conn net.Conn) {
			if strings.HasPrefix(conn.RemoteAddr().String(), "192.0.2.1:") {
				panic("unexpected")
			}
			_, _ = io.WriteString(conn, "served\r\n")
		}),
	}, ln)
	if got := readAll(t, ln.dial("192.0.2.1")); got != "" {
		t.Errorf("read %q", got)
	}
	if got := readAll(t, ln.dial("192.0.2.2")); got != "served\r\n" {
		t.Errorf("the next client read %q", got)
	}
	stop(t, l)
	if s := log.String(); !strings.Contains(s, "unexpected") || !strings.Contains(s, "listener_test.go") {
		t.Errorf("the log lacks the panic or its stack:\n%s", s)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	listen := func(path string) (*Listener, error) {
		l := New(Config{Network: "unix", Address: path, Handler: untilDrained, Mode: 0o600})
		return l, l.Listen(t.Context())
	}

	path := filepath.Join(t.TempDir(), "lmtp")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("socket: %v, %v", info, err)
	}
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, conn, "hello\r\n")

	if _, err := listen(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a socket in use was taken: %v", err)
	}
	stop(t, l)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is there after Stop: %v", err)
	}
}

func TestUnixSocketLeftBehind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lmtp")
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	killed.Close()

	old := New(Config{Network: "unix", Address: path, Handler: untilDrained})
	if err := old.Listen(t.Context()); err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	// A successor has taken the name: stopping the old one must not remove it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor := New(Config{Network: "unix", Address: path, Handler: untilDrained})
	if err := successor.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, old)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
	stop(t, successor)
}

func TestUnixSocketIsNoSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lmtp")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(Config{Network: "unix", Address: path, Handler: untilDrained})
	if err := l.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Listen over a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file now holds %q, %v", b, err)
	}
}
