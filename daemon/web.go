package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/maillog"
	"gomaild/internal/metrics"
	"gomaild/policy"
)

// What a client of the metrics listener may cost.
const (
	webTimeout    = 10 * time.Second
	maxWebHeader  = 16 << 10
	webDrainGrace = time.Second
)

// newMetrics makes the registry of a daemon.
func newMetrics(version string) *metrics.Metrics {
	return metrics.New(metrics.Config{
		Version:   version,
		Listeners: config.ListenerTypes(),
		Checks:    slices.Concat(policy.Names(), policy.RateNames()),
	})
}

// countQueue shows how the queue is.
func (d *Daemon) countQueue() {
	for name, g := range map[string]struct {
		help string
		of   func(queue.Stats) int
	}{
		"queue_messages":     {"Messages that are owed to somebody, those on hold too.", func(s queue.Stats) int { return s.Messages }},
		"queue_held":         {"Messages on hold.", func(s queue.Stats) int { return s.Held }},
		"queue_waiting":      {"Messages and destinations whose next attempt is not due.", func(s queue.Stats) int { return s.Waiting }},
		"queue_running":      {"Attempts to send under way.", func(s queue.Stats) int { return s.Running }},
		"queue_destinations": {"Destinations with mail that is due, or that do not answer.", func(s queue.Stats) int { return s.Destinations }},
	} {
		d.metrics.Gauge(name, g.help, func() float64 {
			o := d.outgoing.Load()
			if o == nil {
				return 0
			}
			return float64(g.of(o.queue.Stats()))
		})
	}
}

// counting is a logger that writes as log does and counts events besides.
func counting(log *slog.Logger, m *metrics.Metrics) *slog.Logger {
	return slog.New(maillog.Deferred(slog.NewMultiHandler(log.Handler(), m.Events())))
}

// startWeb serves metrics and health, if the configuration says where. It is
// there before the doors open and until they are closed, so that who asks in
// between hears that we live and are not ready.
func (d *Daemon) startWeb() error {
	c := &d.cfg.Metrics
	if c.Address == "" {
		return nil
	}
	ln, err := net.Listen("tcp", c.Address)
	if err != nil {
		return d.cfg.At("metrics.address", err, "%s", listenAdvice(err))
	}
	d.webAddr = ln.Addr()
	srv := &http.Server{
		Handler: d.web(c.Pprof), MaxHeaderBytes: maxWebHeader,
		ReadTimeout: webTimeout, IdleTimeout: webTimeout,
		ErrorLog: slog.NewLogLogger(d.log.With("listener", "metrics").Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	d.undo.push("end the metrics listener", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, webDrainGrace)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // a profile that still runs is of no more use
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// web is what there is to ask for.
func (d *Daemon) web(withPprof bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Page())
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { answer(w, true) })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Status().Ready) })
	if withPprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer is one word, and the status that load balancers look at.
func answer(w http.ResponseWriter, good bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// WebAddr is where metrics and health are served, nil if they are not.
func (d *Daemon) WebAddr() net.Addr {
	d.change.Lock()
	defer d.change.Unlock()
	return d.webAddr
}
