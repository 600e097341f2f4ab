package sdnotify

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
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

func TestNotifyNobody(t *testing.T) {
	t.Parallel()
	if err := New("").Ready(""); err != nil {
		t.Error(err)
	}
	if err := New("/nonexistent/socket").Stopping(); err == nil {
		t.Error("a socket that is not there is no error")
	}
}
