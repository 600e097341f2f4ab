package daemon

import (
	"errors"
	"os"
	"strings"
	"testing"

	"gomaild/cluster/control"
)

// TestControl asks a daemon over its socket through its life.
func TestControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := control.Client{Socket: w.path("run/control")}
	if _, err := client.Ask(t.Context(), control.PathLive); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("before it runs: %v", err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{control.PathLive, control.PathReady, control.PathProbeDisk, control.PathProbeDatabase} {
		if body, err := client.Ask(t.Context(), path); string(body) != "ok\n" || err != nil {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	s, err := client.Status(t.Context())
	if err != nil || !s.Ready || s.Phase != control.Serving || s.PID != os.Getpid() || s.Start.Epoch != 1 || len(s.Listeners) != 6 || s.Root != w.path("mail") {
		t.Errorf("it says %+v, %v", s, err)
	}
	if pid, err := client.PID(t.Context()); pid != os.Getpid() || err != nil {
		t.Errorf("process %d, %v", pid, err)
	}
	if _, err := client.Ask(t.Context(), "/nothing"); err == nil || errors.Is(err, control.ErrNo) {
		t.Errorf("an unknown path: %v", err)
	}
	if info, err := os.Stat(w.path("run/control")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PID(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after it ran: %v", err)
	}
}

// TestNotReady holds that a daemon whose mail was taken over says so.
func TestNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.path("mail/.gomaild/lock")); err != nil {
		t.Fatal(err)
	}
	w.second(t).start(t)
	<-w.Ending()
	client := control.Client{Socket: w.path("run/control")}
	_, err := client.Ask(t.Context(), control.PathReady)
	if !errors.Is(err, control.ErrNo) || !strings.Contains(err.Error(), "the mail root was taken over") {
		t.Errorf("ready: %v", err)
	}
	if _, err := client.Ask(t.Context(), control.PathProbeDisk); !errors.Is(err, control.ErrNo) {
		t.Errorf("the probe of the disk: %v", err)
	}
	_ = w.Stop(t.Context()) // the journal is the other's
}
