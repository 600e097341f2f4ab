// Package drill proves a failover: a client sends through the service's
// address, writes each acknowledged message to a synced ledger on its own disk
// while faults are injected, and afterwards matches ledger and mailbox by
// unique id over IMAP.
//
// Words: a message is acknowledged when its 250 after end-of-data was read. It
// is lost if it is acknowledged and not in the mailbox, duplicated if it is
// there more than once; each id is sent once, so a duplicate is never the
// client's. A message whose connection died between end-of-data and the reply
// is unanswered: it may be there or not, and is counted apart. Time without
// service is the longest time from one answer to the next.
//
// The ledger has one JSON object a line (Entry); each is durable before the
// next message is sent.
package drill

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Config says where the service is and how hard to drive it. Zero durations
// have the defaults named.
type Config struct {
	SMTP     string // host:port that takes mail for Address
	IMAPS    string // host:port with implicit TLS
	Address  string // recipient, and login name
	Password string
	Sender   string      // reverse-path; empty is the null reverse-path
	TLS      *tls.Config // for IMAPS; nil verifies by the system's roots
	Ledger   string      // file; it must not exist

	Every    time.Duration // between two messages, 50 ms
	Connect  time.Duration // of one connection to be made, 300 ms
	Timeout  time.Duration // of one probe, and of one step of a message, 2 s
	Settle   time.Duration // service must hold this long after a fault, 3 s
	Patience time.Duration // longest wait for service after a fault, 2 min
}

// Fault is one thing that is done to the service. Inject returns when it is
// done, and, where it is undone again, undone.
type Fault struct {
	Name   string
	Inject func(context.Context) error
}

// run is one drill in progress.
type run struct {
	Config
	id         string
	ledger     *ledger
	smtp, imap *watch
}

// Run drives the service through the faults and returns what came of each. An
// error means that the drill itself could not be held: no service at the
// start, a fault that could not be injected, no mailbox to compare with. Loss
// is no error but in the Report.
func Run(ctx context.Context, c Config, faults []Fault) (Report, error) {
	r := &run{Config: c.withDefaults(), id: rand.Text(), smtp: newWatch(), imap: newWatch()}
	var err error
	if r.ledger, err = createLedger(c.Ledger); err != nil {
		return Report{}, fmt.Errorf("ledger %s: %w", c.Ledger, err)
	}
	outcomes, err := r.drive(ctx, faults)
	if err = errors.Join(err, r.ledger.close()); err != nil {
		return Report{}, err
	}
	there, err := r.mailbox(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("read the mailbox of %s: %w", r.Address, err)
	}
	return match(outcomes, r.ledger.entries, there), nil
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&c.Every, 50 * time.Millisecond}, {&c.Connect, 300 * time.Millisecond}, {&c.Timeout, 2 * time.Second}, {&c.Settle, 3 * time.Second}, {&c.Patience, 2 * time.Minute}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	return c
}

// drive keeps the client busy while it injects one fault after another.
func (r *run) drive(ctx context.Context, faults []Fault) ([]Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{}, 3)
	for _, work := range []func(context.Context) error{r.sendAll, r.smtp.keep(r.Every, r.greeting), r.imap.keep(2*r.Every, r.login)} {
		go func() {
			defer func() { done <- struct{}{} }()
			if err := work(ctx); err != nil {
				cancel(err)
			}
		}()
	}
	outcomes, err := r.inject(ctx, faults)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	for range 3 {
		<-done
	}
	return outcomes, err
}

func (r *run) inject(ctx context.Context, faults []Fault) ([]Outcome, error) {
	if !r.served(ctx, time.Now()) {
		return nil, errors.New("no service before the first fault")
	}
	var outcomes []Outcome
	for _, f := range faults {
		r.smtp.reset()
		r.imap.reset()
		r.ledger.during(f.Name)
		if err := f.Inject(ctx); err != nil {
			return outcomes, fmt.Errorf("inject %s: %w", f.Name, err)
		}
		o := Outcome{Fault: f.Name, Served: r.served(ctx, time.Now())}
		o.SMTPGap, o.IMAPGap = Gap(r.smtp.longest()), Gap(r.imap.longest())
		outcomes = append(outcomes, o)
		if !o.Served {
			return outcomes, ctx.Err()
		}
	}
	return outcomes, nil
}

// served waits until both services have answered for Settle without a gap of a
// second, counted from since, and tells whether that came within Patience.
func (r *run) served(ctx context.Context, since time.Time) bool {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	deadline := time.NewTimer(r.Settle + r.Patience)
	defer deadline.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-deadline.C:
			return false
		case <-tick.C:
			if r.smtp.steady(since, r.Settle) && r.imap.steady(since, r.Settle) {
				return true
			}
		}
	}
}
