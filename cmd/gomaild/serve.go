package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gomaild/cluster"
	"gomaild/daemon"
	"gomaild/internal/config"
	"gomaild/internal/sdnotify"
)

func (a *app) serveCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the mail server",
		Long: `serve runs the server in the foreground until SIGTERM or SIGINT. Sessions that are
busy then may finish what they are in, for as long as the key grace says.

SIGHUP reads the configuration and the certificates again. When something is
wrong with them, the server goes on as it was and logs why.

It exits with 0 after an orderly stop, with 78 (EX_CONFIG) when the configuration
or something that it names is at fault, with 77 (EX_NOPERM) when it may not read or
write what that names, with 69 (EX_UNAVAILABLE) when another
node has taken the mail over, with 74 (EX_IOERR) when the mounted disk failed,
became read-only or was unmounted, and with 1 otherwise. A second server on the same
mail is refused.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			tune()
			return a.serve(c.Context(), path, hup)
		},
	}
	configFlag(c, &path)
	return c
}

// tune sets the runtime up for a server that is bound by the disk and has a
// small heap (docs/performance.md has the numbers). Who sets GOMAXPROCS or GOGC
// has the last word.
//
// Twice as many goroutines may run as there are processors: a delivery blocks
// its thread in fsync(2) twice, and a goroutine that comes back from there waits
// for a free place. And the collector runs a quarter as often: with a heap of a
// few megabytes it would run a hundred times a second under load, to save
// memory that nobody misses; only a large heap is collected as usual.
func tune() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS() // tests come here more than once in a process
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
	if os.Getenv("GOGC") == "" {
		followHeap()
	}
}

// serve runs until ctx ends and reloads at each value of reload.
func (a *app) serve(ctx context.Context, path string, reload <-chan os.Signal) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	sink, err := openLog(cfg, a.streams)
	if err != nil {
		return cfg.At("log.destination", err, "name a file in a directory that exists and that gomaild may write")
	}
	err = a.serveLogged(ctx, cfg, path, sink, reload)
	return errors.Join(err, sink.close())
}

func (a *app) serveLogged(ctx context.Context, cfg *config.Config, path string, sink *logSink, reload <-chan os.Signal) error {
	log := sink.logger
	d, err := daemon.New(cfg, daemon.Options{Logger: log, Version: version()})
	if err != nil {
		return err
	}
	if err := d.Start(ctx); err != nil {
		return err
	}
	notify := sdnotify.New(os.Getenv("NOTIFY_SOCKET"))
	tell(log, notify.Ready(summary(d)))
	defer keepAlive(d, log, notify)()
	log.Info("ready", "version", version(), "config", path, "listeners", addresses(d))
	for {
		select {
		case <-reload:
			tell(log, notify.Reloading())
			reloadDaemon(ctx, d, path, sink)
			tell(log, notify.Ready(summary(d)))
		case err := <-d.Ending():
			return endNow(ctx, d, log, err)
		case <-ctx.Done():
			tell(log, notify.Stopping())
			log.Info("stopping")
			if err := d.Stop(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			log.Info("stopped")
			return nil
		}
	}
}

// keepAlive tells the service manager that the daemon is alive, as often as it
// wants to hear that, until what it returns is called. One that is not is ended by
// the service manager, with the stacks of its goroutines in the log (SIGABRT).
func keepAlive(d *daemon.Daemon, log *slog.Logger, notify sdnotify.Notifier) (end func()) {
	every := sdnotify.WatchdogEvery(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid())
	if every == 0 {
		return func() {}
	}
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if d.Alive() == nil {
					tell(log, notify.Watchdog())
				}
			}
		}
	})
	return func() { close(done); telling.Wait() }
}

// tell logs what the service manager could not be told.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("tell the service manager", "error", err)
	}
}

// summary is the line that the service manager shows.
func summary(d *daemon.Daemon) string {
	s := d.Status()
	return fmt.Sprintf("serving %d addresses from %s, epoch %d", len(s.Listeners), s.Root, s.Start.Epoch)
}

// endTime is for the last replies of a process that may not go on.
const endTime = time.Second

// endNow leaves the process: sessions hear 421 or BYE if they can within a
// moment. The disk may hang, so nothing else is waited for.
func endNow(ctx context.Context, d *daemon.Daemon, log *slog.Logger, why error) error {
	log.Error("ending at once", "error", why)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = d.Stop(ctx) // the reason is said
	}()
	select {
	case <-stopped:
	case <-time.After(2 * endTime):
	}
	if _, stale := errors.AsType[*cluster.StaleError](why); stale {
		return exitStatus(exitUnavailable)
	}
	return exitStatus(exitIO)
}

// reloadDaemon goes over to what the file says now, or logs why not.
func reloadDaemon(ctx context.Context, d *daemon.Daemon, path string, sink *logSink) {
	next, err := config.Load(path)
	if err == nil {
		err = d.Reload(ctx, next)
	}
	if err == nil {
		err = sink.reload(&next.Log)
	}
	if err != nil {
		logEach(sink.logger, "reload refused, going on as before", err)
		return
	}
	sink.logger.Info("reloaded", "config", path, "listeners", addresses(d))
}

// logEach writes one line for each fault of a configuration.
func logEach(log *slog.Logger, msg string, err error) {
	all, ok := errors.AsType[config.Errors](err)
	if !ok {
		log.Error(msg, "error", err)
		return
	}
	for _, one := range all {
		log.Error(msg, "error", one)
	}
}

// addresses are those of a daemon for the log: "mx 0.0.0.0:25".
func addresses(d *daemon.Daemon) []string {
	var all []string
	for _, addr := range d.Addrs() {
		all = append(all, string(addr.Type)+" "+addr.String())
	}
	return all
}
