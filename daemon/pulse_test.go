package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/cluster/control"
	"gomaild/internal/config"
)

// stuckLog is a log that hangs at a line.
type stuckLog struct {
	slog.Handler
	at    string
	stuck chan struct{} // closed when it hangs
	free  chan struct{}
}

func (l *stuckLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *stuckLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *stuckLog) WithGroup(string) slog.Handler            { return l }

func (l *stuckLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == l.at {
		close(l.stuck)
		<-l.free
	}
	return nil
}

// TestHungListener: the accept loop of one listener hangs, because the log does
// where it tells of a client over the limit. The server says that it is not well,
// within some seconds and by itself, and that it is when the loop goes on.
func TestHungListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := &stuckLog{at: "connection refused", stuck: make(chan struct{}), free: make(chan struct{})}
	var err error
	w.Daemon, err = New(w.config(t, "", listeners+"max_connections = 1\n"), Options{Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	w.start(t)
	client := control.Client{Socket: w.path("run/control")}
	if _, err := client.Ask(t.Context(), control.PathLive); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := net.Dial("unix", w.addr(t, config.LDA, config.NoTLS))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	<-log.stuck
	begun := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ask := func(path string, well bool) error {
		for ; ; <-tick.C {
			_, err := client.Ask(t.Context(), path)
			if (err == nil) == well || time.Since(begun) > 40*time.Second {
				return err
			}
		}
	}
	for _, path := range []string{control.PathReady, control.PathLive} {
		if err := ask(path, false); !errors.Is(err, control.ErrNo) || !strings.Contains(err.Error(), "takes no more connections: lda "+w.path("run/lda")) {
			t.Errorf("%s: %v", path, err)
		}
	}
	close(log.free)
	if err := ask(control.PathReady, true); err != nil {
		t.Errorf("it goes on: %v", err)
	}
}

// TestPulse holds that only looks in a row count, and that a listener which is
// closed is forgotten.
func TestPulse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var stopped []*door // whose loops do not run: they go round no more
	for range 2 {
		l := w.newDoor(places(w.cfg)[0])
		if err := l.listener.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer l.listener.Stop(t.Context()) //nolint:errcheck // it never ran
		stopped = append(stopped, l)
	}
	d := &Daemon{log: slog.New(slog.DiscardHandler)}
	pulses := map[*door]pulse{}
	look := func(doors ...*door) error {
		d.shown.Store(&shown{phase: control.Serving, doors: doors})
		d.feel(pulses)
		return d.Alive()
	}
	for i := range hungAfter {
		if err := look(stopped...); err != nil {
			t.Errorf("look %d: %v", i, err)
		}
	}
	if err := look(stopped...); err == nil || strings.Count(err.Error(), "mx ") != 2 {
		t.Errorf("then: %v", err)
	}
	if err := look(stopped[0]); err == nil || strings.Count(err.Error(), "mx ") != 1 {
		t.Errorf("one of them: %v", err)
	}
	if err := look(); err != nil || len(pulses) != 0 {
		t.Errorf("without them: %v, %v", err, pulses)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPortsCloseFirst: whatever hangs while a daemon stops, nobody is connected any
// more.
func TestPortsCloseFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(t)
	address := w.addr(t, config.MX, config.StartTLS)
	names := make([]string, len(w.undo.steps))
	for i, s := range w.undo.steps {
		names[i] = s.name
	}
	ports := slices.Index(names, "close the ports")
	if ports < 1 {
		t.Fatalf("steps are %q", names)
	}
	hangs, hung := make(chan struct{}), make(chan struct{})
	next := w.undo.steps[ports-1].run
	w.undo.steps[ports-1].run = func(ctx context.Context) error {
		close(hung)
		<-hangs
		return next(ctx)
	}
	var stopping sync.WaitGroup
	stopping.Go(func() {
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-hung
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("it listens")
	}
	close(hangs)
	stopping.Wait()
}
