package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"gomaild/accounts/snapshot"
	"gomaild/cluster/control"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// shown is what may be looked at while the daemon starts or stops.
type shown struct {
	phase control.Phase
	since time.Time
	mail  *mailStore // nil before it is open and after
	addrs []control.Listener
	doors []*door

	snapshot *snapshot.Keeper // nil where none is kept
	oldest   time.Duration    // that a copy may be and still answer
}

// show makes the phase and what is open known. d.change is held.
func (d *Daemon) show(p control.Phase) {
	s := &shown{phase: p, since: time.Now(), mail: d.mail, doors: slices.Clone(d.doors), snapshot: d.snapshot, oldest: time.Duration(d.cfg.Accounts.SnapshotAge)}
	if last := d.shown.Load(); last != nil && last.phase == p {
		s.since = last.since
	}
	for _, one := range d.doors {
		addr := one.listener.Addr()
		l := control.Listener{Type: string(one.Type), TLS: string(one.TLS), Network: addr.Network(), Address: addr.String()}
		if one.Type == config.MX {
			l.GreetDelay = time.Duration(d.cfg.Policy.GreetDelay).Seconds()
		}
		s.addrs = append(s.addrs, l)
	}
	d.shown.Store(s)
}

// Status is how the daemon is at this moment. It waits for nothing and asks no
// disk.
func (d *Daemon) Status() control.Status {
	s := d.shown.Load()
	if s == nil {
		s = &shown{phase: control.Starting}
	}
	st := control.Status{
		PID: os.Getpid(), Hostname: d.hostname, Phase: s.phase, Since: s.since,
		Listeners: s.addrs, Problems: []string{},
	}
	if s.phase != control.Serving {
		st.Problems = append(st.Problems, "the server is "+string(s.phase))
	}
	if err := d.Alive(); err != nil {
		st.Problems = append(st.Problems, err.Error())
	}
	if m := s.mail; m != nil {
		start := m.hold.Record()
		st.Root, st.Mount, st.Cluster, st.Start = m.root, m.mount, m.hold.ID(), &start
		if err := m.healthy(); err != nil {
			st.Problems = append(st.Problems, err.Error())
		}
	}
	if g := d.current.Load(); g != nil {
		st.Sessions = g.count()
	}
	st.Snapshot = s.snapshotStatus()
	st.Ready = len(st.Problems) == 0
	return st
}

// snapshotStatus is nil where no copy of the accounts is kept.
func (s *shown) snapshotStatus() *control.Snapshot {
	if s == nil || s.snapshot == nil {
		return nil
	}
	st := s.snapshot.Status()
	age := -1.0
	if st.Age >= 0 {
		age = st.Age.Seconds()
	}
	return &control.Snapshot{Age: age, Used: st.Used, Usable: st.Age >= 0 && st.Age <= s.oldest}
}

// snapshotGauges shows the copy of the accounts.
func (d *Daemon) snapshotGauges() {
	of := func(value func(*control.Snapshot) float64, without float64) func() float64 {
		return func() float64 {
			if s := d.shown.Load().snapshotStatus(); s != nil {
				return value(s)
			}
			return without
		}
	}
	d.metrics.Gauge("snapshot_age_seconds", "Since the account database was last seen to hold what the copy holds; -1 without a copy.",
		of(func(s *control.Snapshot) float64 { return s.Age }, -1))
	d.metrics.Gauge("snapshot_answers", "Answers given from the copy of the accounts since the start.",
		of(func(s *control.Snapshot) float64 { return float64(s.Used) }, 0))
}

// mostLookAge is lookAge where a disk that hangs is waited for without end.
const mostLookAge = 15 * time.Second

// lookAge is how old the last look at the mail root may be: the watch looks each
// second, and hangs with a disk that hangs. It is half of the patience with that, so that
// pacemaker hears of it before the process ends, and not while DRBD holds up writes
// until a lost peer is fenced, which takes corosync and the fencing some ten seconds.
func (m *mailStore) lookAge() time.Duration {
	if m.patience <= 0 {
		return mostLookAge
	}
	return m.patience / 2
}

// healthy is nil while the mail root is ours and was looked at a moment ago.
func (m *mailStore) healthy() error {
	if err := m.hold.Err(); err != nil {
		return err
	}
	if age := time.Since(m.hold.Looked()); age > m.lookAge() {
		return fmt.Errorf("the disk has not answered for %v", age.Round(time.Second))
	}
	return nil
}

// probeEvery is how often ProbeDisk looks whether the disk is known to hang.
const probeEvery = 100 * time.Millisecond

// probeFile is written by ProbeDisk.
const probeFile = ownDir + "/probe"

// errNotServing is for probes of a daemon that is starting or stopping.
var errNotServing = errors.New("the server is not serving")

// ProbeDisk writes to the mail root and waits until it is durable, or until ctx
// ends or the disk is known to hang.
func (d *Daemon) ProbeDisk(ctx context.Context) error {
	s := d.shown.Load()
	if s == nil || s.phase != control.Serving {
		return errNotServing
	}
	p := d.beginProbe(s.mail)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := s.mail.healthy(); err != nil {
				return err
			}
		}
	}
}

// diskProbe is a synced write; err is its end once done is closed.
type diskProbe struct {
	done chan struct{}
	err  error
}

// beginProbe writes the file, or is the write that is under way: on a disk that
// hangs they would heap up.
func (d *Daemon) beginProbe(m *mailStore) *diskProbe {
	d.probing.Lock()
	defer d.probing.Unlock()
	if d.probe != nil {
		return d.probe
	}
	p := &diskProbe{done: make(chan struct{})}
	d.probe = p
	go func() {
		defer close(p.done)
		err := durable.WriteFile(m.fs, probeFile, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600)
		if err != nil {
			p.err = fmt.Errorf("write %s: %w", path.Join(m.root, probeFile), err)
		}
		d.probing.Lock()
		defer d.probing.Unlock()
		d.probe = nil
	}()
	return p
}

// ProbeDatabase asks the database whether it answers.
func (d *Daemon) ProbeDatabase(ctx context.Context) error {
	g := d.current.Load()
	if g == nil {
		return errNotServing
	}
	return g.db.Ping(ctx)
}
