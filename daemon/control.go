package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gomaild/cluster/control"
	"gomaild/internal/config"
	"gomaild/internal/listener"
)

// ControlSocket is where the control socket of a daemon under c lies.
func ControlSocket(c *config.Config) string { return filepath.Join(c.RunDir, control.Name) }

// controlTimeout is for one request to be read.
const controlTimeout = 5 * time.Second

// openControl opens the control socket and serves it until the daemon has
// stopped.
func (d *Daemon) openControl() error {
	if err := MakeDir(d.cfg.RunDir, 0o755); err != nil {
		return d.cfg.At("run_dir", err, "name a directory that gomaild may make")
	}
	ln, err := listener.ListenUnix(ControlSocket(d.cfg), 0o600)
	if err != nil {
		return d.cfg.At("run_dir", err, "stop the other gomaild that runs with it, or name another directory")
	}
	server := &http.Server{Handler: d.controlHandler(), ReadTimeout: controlTimeout, MaxHeaderBytes: 8 << 10}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) }) // ends with Close
	d.undo.push("close the control socket", func(context.Context) error {
		err := server.Close()
		serving.Wait()
		return err
	})
	return nil
}

func (d *Daemon) controlHandler() http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, ask func(*http.Request) error) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := ask(r); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, "ok\n") // a client that went is no matter
		})
	}
	answer(control.PathLive, func(*http.Request) error { return d.Alive() })
	answer(control.PathReady, func(*http.Request) error { return problem(d.Status()) })
	answer(control.PathProbeDisk, func(r *http.Request) error { return d.ProbeDisk(r.Context()) })
	answer(control.PathProbeDatabase, func(r *http.Request) error { return d.ProbeDatabase(r.Context()) })
	mux.HandleFunc("GET "+control.PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.Status()) // a client that went is no matter
	})
	mux.HandleFunc("POST "+control.PathQueue, d.tellQueue)
	mux.HandleFunc("POST "+control.PathQueueList, d.tellQueueList)
	mux.HandleFunc("POST "+control.PathQueueShow, d.tellQueued)
	mux.HandleFunc("POST "+control.PathLift, d.tellLift)
	mux.HandleFunc("GET "+control.PathRoute, d.tellRoute)
	return mux
}

// problem is why the daemon is not ready, nil if it is.
func problem(s control.Status) error {
	if s.Ready {
		return nil
	}
	return errors.New(strings.Join(s.Problems, "\n"))
}
