package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/cluster/control"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, "accounts.snapshot = \"own/copy\"\n"+text)
	if code, _, stderr := gomaild(t, "", "status", "-c", path); code != exitUnavailable || stderr != "gomaild does not run\n" {
		t.Errorf("of none: exit %d, %s", code, stderr)
	}
	serve(t, path).waitFor("msg=ready")
	code, stdout, stderr := gomaild(t, "", "status", "-c", path)
	if code != exitOK || !strings.HasPrefix(stdout, "state          ready\n") || !strings.Contains(stdout, "\nmx             127.0.0.1:") ||
		!strings.Contains(stdout, "\naccounts copy  ") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	code, stdout, _ = gomaild(t, "", "status", "--json", "-c", path)
	var s control.Status
	if err := json.Unmarshal([]byte(stdout), &s); code != exitOK || err != nil || !s.Ready || s.Snapshot == nil {
		t.Errorf("exit %d, %v, %s", code, err, stdout)
	}
}

// TestServeIsAlive: who wants to hear that the server is alive hears it.
func TestServeIsAlive(t *testing.T) { //nolint:paralleltest // the environment is the process's
	dir, text := goodWorld(t)
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "100000")
	s := serve(t, save(t, dir, text))
	heard := 0
	for b := make([]byte, 1024); heard < 2; {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if string(b[:n]) == "WATCHDOG=1" {
			heard++
		}
	}
	s.stop()
}

// TestServeNotifies holds what the service manager hears.
func TestServeNotifies(t *testing.T) { //nolint:paralleltest // the environment is the process's
	dir, text := goodWorld(t)
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	heard := func(want string) {
		t.Helper()
		b := make([]byte, 1024)
		n, err := conn.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Errorf("heard %q, %v, want %q", b[:n], err, want)
		}
	}
	s := serve(t, save(t, dir, text))
	heard("READY=1\nSTATUS=serving 2 addresses from ")
	s.reload <- nil
	heard("RELOADING=1\nMONOTONIC_USEC=")
	heard("READY=1\n")
	s.stop()
	heard("STOPPING=1\n")
}
