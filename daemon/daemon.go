package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/accounts/snapshot"
	"gomaild/accounts/usage"
	"gomaild/cluster/control"
	"gomaild/delivery/remote/mtasts"
	"gomaild/delivery/remote/tlsrpt"
	"gomaild/imap"
	"gomaild/internal/certs"
	"gomaild/internal/config"
	"gomaild/internal/dns"
	"gomaild/internal/durable"
	"gomaild/internal/metrics"
	"gomaild/mail"
	"gomaild/policy/greylist"
	"gomaild/policy/rate"
)

// Options is what a Daemon needs beside its configuration.
type Options struct {
	Logger  *slog.Logger // default: discards
	Version string       // of gomaild, in the metrics and for Sieve
}

// Daemon is one mail server. Its life is New, Start, any number of Reload,
// Stop; Stop is right after any of them. Two may live in one process.
type Daemon struct {
	log      *slog.Logger
	hostname string
	version  string

	mail     *mailStore
	outgoing atomic.Pointer[outgoing]
	sts      durable.FS // policies of other domains

	tlsReports *tlsrpt.Counter
	https      func(dns.Resolver) http.RoundTripper // to web servers that strangers name
	greylist   *greylist.List
	snapshot   *snapshot.Keeper // nil: none is kept
	usage      atomic.Pointer[usage.Keeper]
	rates      *rate.Table // of strangers; filled by whoever likes, so not that of brakes
	brakes     *rate.Table // of our users
	known      *rate.Table // to whom they write
	certs      *certs.Store
	tls        atomic.Pointer[tls.Config] // for implicit TLS; follows reloads

	metrics *metrics.Metrics
	changes imap.Changes // what IMAP sessions tell each other

	current atomic.Pointer[generation]
	shown   atomic.Pointer[shown]
	probing sync.Mutex // guards probe
	probe   *diskProbe // under way
	hanging atomic.Pointer[hanging]

	change  sync.Mutex // held by Start, Reload and Stop; guards what follows
	cfg     *config.Config
	doors   []*door
	webAddr net.Addr
	undo    undoStack
	base    context.Context // of sessions: the values of Start's context, not its end
}

// New makes a daemon that holds nothing yet.
func New(cfg *config.Config, opts Options) (*Daemon, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	name, err := hostname(cfg)
	if err != nil {
		return nil, err
	}
	m := newMetrics(opts.Version)
	d := &Daemon{
		log: counting(opts.Logger, m), metrics: m, hostname: name, version: opts.Version, cfg: cfg,
		tlsReports: tlsrpt.New(), https: func(r dns.Resolver) http.RoundTripper { return mtasts.Transport(r, nil) },
		rates: rate.NewTable(0), brakes: rate.NewTable(0), known: rate.NewTable(4 * rate.DefaultKeys),
	}
	d.countQueue()
	d.snapshotGauges()
	return d, nil
}

// hostname is the configured name of this host, or the system's.
func hostname(c *config.Config) (string, error) {
	name := c.Hostname
	if name == "" {
		system, err := os.Hostname()
		if err != nil {
			return "", c.At("hostname", err, "name this host")
		}
		name = system
	}
	domain, err := mail.ParseDomain(name)
	if err != nil {
		return "", c.At("hostname", nil, "the system calls itself %q, which is no host name; write one here", name)
	}
	return domain, nil
}

// Start opens everything and serves. When it fails, what it had opened is
// closed again, and the daemon may be started anew. The end of ctx does not
// stop the daemon; Stop does.
func (d *Daemon) Start(ctx context.Context) error {
	d.change.Lock()
	defer d.change.Unlock()
	if d.current.Load() != nil {
		return errors.New("the daemon runs already")
	}
	d.base = context.WithoutCancel(ctx)
	err := d.start(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(err, d.stop(d.base))
}

func (d *Daemon) start(ctx context.Context) error {
	d.mail = nil
	d.show(control.Starting)
	if err := d.openControl(); err != nil {
		return err
	}
	if err := d.startWeb(); err != nil {
		return err
	}
	store, err := openRecovered(ctx, d.cfg, d.hostname, d.log)
	if err != nil {
		return err
	}
	d.mail = store
	d.undo.push("close the mail root", func(context.Context) error { return store.close() })
	d.watch()
	d.show(control.Starting)
	if err := d.openGreylist(); err != nil {
		return err
	}
	if err := d.openBrakes(); err != nil {
		return err
	}
	if err := d.openSnapshot(); err != nil {
		return err
	}
	if err := d.openSTS(); err != nil {
		return err
	}
	if err := d.openOutgoing(); err != nil {
		return err
	}

	set, err := loadCerts(d.cfg, d.mail.fs, d.hostname)
	if err != nil {
		return err
	}
	d.certs = new(certs.Store)
	d.certs.Replace(set)
	d.warnOfCerts(set)

	next, err := d.build(d.cfg)
	if err != nil {
		return err
	}
	d.undo.push("end the sessions", d.endSessions)
	d.tls.Store(d.serverTLS(d.cfg))
	d.current.Store(next)
	d.beginOutgoing()
	d.startSnapshot()
	d.startUsage()
	d.startTLSReports()

	if d.doors, err = d.openDoors(d.cfg, places(d.cfg)); err != nil {
		return err
	}
	if err := startDoors(d.base, d.doors); err != nil {
		return err
	}
	d.undo.push("close the ports", d.closePorts)
	d.show(control.Serving)
	d.watchDoors()
	return nil
}

// Stop ends the daemon in two phases: no new work, then no work. Sessions that
// are busy have the configured grace, or until ctx ends, and are then cut off,
// which is an error. When Stop returns, nothing of the daemon runs and no file
// below the mail root is open. A daemon that was stopped may be started anew.
func (d *Daemon) Stop(ctx context.Context) error {
	d.change.Lock()
	defer d.change.Unlock()
	return d.stop(ctx)
}

func (d *Daemon) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.cfg.Grace))
	defer cancel()
	d.show(control.Stopping)
	return d.undo.run(ctx)
}

// closePorts goes before all that may wait for a disk, such as a copy of the accounts
// that is being written: where that hangs nobody is to be connected to nobody.
func (d *Daemon) closePorts(context.Context) error {
	for _, door := range d.doors {
		door.listener.Drain()
	}
	return nil
}

// endSessions closes the doors and ends the generation, all at the same time:
// each door waits for its connections, the generation for its sessions.
func (d *Daemon) endSessions(ctx context.Context) error {
	last := d.current.Load()
	last.beginDrain()
	errs := make([]error, len(d.doors)+1)
	var ending sync.WaitGroup
	for i, door := range d.doors {
		ending.Go(func() { errs[i] = door.listener.Stop(ctx) })
	}
	ending.Go(func() { errs[len(d.doors)] = last.end(ctx) })
	ending.Wait()
	d.doors = nil
	d.current.Store(nil)
	return errors.Join(errs...)
}

// Addr is an address that a running daemon listens on.
type Addr struct {
	Type config.ListenerType
	TLS  config.TLSMode
	net.Addr
}

// Addrs are the real addresses, with the ports that were chosen for port 0, in
// the order of the configuration.
func (d *Daemon) Addrs() []Addr {
	d.change.Lock()
	defer d.change.Unlock()
	addrs := make([]Addr, 0, len(d.doors))
	for _, door := range d.doors {
		addrs = append(addrs, Addr{door.Type, door.TLS, door.listener.Addr()})
	}
	return addrs
}

// openDoors binds addresses. A fault closes those that it bound.
func (d *Daemon) openDoors(c *config.Config, where []place) ([]*door, error) {
	var opened []*door
	for _, l := range where {
		one := d.newDoor(l)
		if err := one.open(d.base, c); err != nil {
			return nil, errors.Join(err, closeDoors(opened))
		}
		opened = append(opened, one)
	}
	return opened, nil
}

// closeDoors closes doors that nobody serves.
func closeDoors(doors []*door) error { return stopDoors(context.Background(), doors) }

func startDoors(ctx context.Context, doors []*door) error {
	for _, one := range doors {
		if err := one.listener.Start(ctx); err != nil {
			return fmt.Errorf("serve %s: %w", one.key, err)
		}
	}
	return nil
}

// followTLS is for listeners, which outlive a reload: each handshake is done
// with the configuration of the moment.
func (d *Daemon) followTLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return d.tls.Load(), nil },
	}
}

// serverTLS is how we do TLS under c.
func (d *Daemon) serverTLS(c *config.Config) *tls.Config {
	t := d.certs.TLSConfig()
	if c.TLS.MinVersion == config.TLS13 {
		t.MinVersion = tls.VersionTLS13
	}
	return t
}

func (d *Daemon) warnOfCerts(set *certs.Set) {
	for _, info := range set.Describe(time.Now(), d.hostname) {
		for _, w := range info.Warnings {
			d.log.Warn("certificate", "warning", w)
		}
	}
}
