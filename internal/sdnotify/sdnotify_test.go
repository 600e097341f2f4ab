package sdnotify

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n := New(socket)
	for _, tt := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("epoch 3\nREADY=0") }, `READY=1\nSTATUS=epoch 3 READY=0`},
		{n.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*`},
		{n.Watchdog, `WATCHDOG=1`},
		{n.Stopping, `STOPPING=1\nSTATUS=stopping`},
	} {
		if err := tt.send(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		size, err := conn.Read(b)
		if err != nil || !regexp.MustCompile("^"+tt.want+"$").Match(b[:size]) {
			t.Errorf("%q, %v, want %s", b[:size], err, tt.want)
		}
	}
}

func TestWatchdogEvery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"30000000", "", 15 * time.Second}, {"30000000", "7", 15 * time.Second}, {"30000000", "8", 0}, {"", "7", 0},
		{"0", "", 0}, {"-1", "", 0}, {"soon", "", 0}, {"9223372036854775807", "", 0},
	} {
		if got := WatchdogEvery(tt.usec, tt.pid, 7); got != tt.want {
			t.Errorf("%q for %q: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Parallel()
	if err := New("").Ready(""); err != nil {
		t.Error(err)
	}
	if err := New("/nonexistent/socket").Stopping(); err == nil {
		t.Error("a socket that is not there is no error")
	}
}
