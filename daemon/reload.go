package daemon

import (
	"context"
	"errors"
	"reflect"
	"time"

	"gomaild/cluster/control"
	"gomaild/internal/certs"
	"gomaild/internal/config"
)

// Reload goes over to another configuration. Certificates are read again even
// if nothing else changed, and then no session notices. An error before the
// swap leaves the running configuration as it was, and says why. What goes wrong
// after it (sessions that were cut off) is logged.
func (d *Daemon) Reload(ctx context.Context, next *config.Config) error {
	d.change.Lock()
	defer d.change.Unlock()
	if d.current.Load() == nil {
		return errors.New("the daemon does not run")
	}
	if err := d.needsRestart(next); err != nil {
		return err
	}
	set, err := loadCerts(next, d.mail.fs, d.hostname)
	if err != nil {
		return err
	}
	if next.Same(d.cfg) {
		d.showCerts(set)
		d.cfg = next
		return nil
	}
	return d.swap(ctx, next, set)
}

// needsRestart refuses changes that only a restart can make.
func (d *Daemon) needsRestart(next *config.Config) error {
	const how = "cannot change while gomaild runs; restart it, or write the old value"
	var faults config.Errors
	name, err := hostname(next)
	if err != nil {
		return err
	}
	if name != d.hostname {
		faults = append(faults, next.At("hostname", nil, how))
	}
	if next.Accounts.Snapshot != d.cfg.Accounts.Snapshot {
		faults = append(faults, next.At("accounts.snapshot", nil, how))
	}
	changed := changedKeys("storage", reflect.ValueOf(d.cfg.Storage), reflect.ValueOf(next.Storage))
	changed = append(changed, changedKeys("acl", reflect.ValueOf(d.cfg.ACL), reflect.ValueOf(next.ACL))...)
	for _, path := range changed {
		faults = append(faults, next.At(path, nil, how))
	}
	for _, path := range changedKeys("log", reflect.ValueOf(d.cfg.Log), reflect.ValueOf(next.Log)) {
		if path != "log.level" {
			faults = append(faults, next.At(path, nil, how))
		}
	}
	for _, path := range changedKeys("metrics", reflect.ValueOf(d.cfg.Metrics), reflect.ValueOf(next.Metrics)) {
		faults = append(faults, next.At(path, nil, how))
	}
	if faults != nil {
		return faults
	}
	return nil
}

// changedKeys are the keys of a table whose values differ.
func changedKeys(path string, old, next reflect.Value) []string {
	var changed []string
	for i := range old.NumField() {
		at := path + "." + old.Type().Field(i).Tag.Get("toml")
		switch {
		case old.Field(i).Kind() == reflect.Struct:
			changed = append(changed, changedKeys(at, old.Field(i), next.Field(i))...)
		case !reflect.DeepEqual(old.Field(i).Interface(), next.Field(i).Interface()):
			changed = append(changed, at)
		}
	}
	return changed
}

func (d *Daemon) showCerts(set *certs.Set) {
	d.certs.Replace(set)
	d.warnOfCerts(set)
}

// swap builds the next generation, checks it, puts it in the place of the old
// one, and ends the old one.
func (d *Daemon) swap(ctx context.Context, next *config.Config, set *certs.Set) error {
	g, err := d.build(next)
	if err != nil {
		return err
	}
	if err := d.checkChanged(ctx, next, g); err != nil {
		return errors.Join(err, g.db.Close())
	}
	agent, err := d.newRemote(next)
	if err != nil {
		return errors.Join(err, g.db.Close())
	}
	plan := d.planDoors(next)
	opened, err := d.openDoors(next, plan.add)
	if err != nil {
		if agent != nil {
			agent.Close()
		}
		return errors.Join(err, g.db.Close())
	}

	old := d.current.Load()
	d.cfg = next
	d.showCerts(set)
	d.tls.Store(d.serverTLS(next))
	d.current.Store(g)
	if o := d.outgoing.Load(); o != nil {
		o.queue.Configure(queueSettings(next))
		o.send(agent)
	}
	d.doors = append(plan.keep, opened...)
	err = errors.Join(startDoors(d.base, opened), d.reopen(plan))
	d.show(control.Serving)

	grace, cancel := context.WithTimeout(ctx, time.Duration(next.Grace))
	defer cancel()
	if err := errors.Join(old.end(grace), stopDoors(grace, plan.remove)); err != nil {
		d.log.Warn("end the old configuration", "error", err)
	}
	return err
}

// checkChanged asks a database that is new to us whether it answers, before
// the one that does is let go.
func (d *Daemon) checkChanged(ctx context.Context, next *config.Config, g *generation) error {
	if next.Accounts == d.cfg.Accounts {
		return nil
	}
	faults, err := databaseFaults(ctx, next, g.db)
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// doorPlan says what becomes of each address.
type doorPlan struct {
	keep   []*door // open, and right as they are
	add    []place // to open before the swap
	change []place // open, but with other limits: to close and open again
	remove []*door // to close, those of change included
}

func (d *Daemon) planDoors(next *config.Config) doorPlan {
	var plan doorPlan
	open := map[string]*door{}
	for _, one := range d.doors {
		open[one.key] = one
	}
	for _, l := range places(next) {
		one := open[l.key]
		delete(open, l.key)
		switch {
		case one == nil:
			plan.add = append(plan.add, l)
		case one.fits(l):
			plan.keep = append(plan.keep, one)
		default:
			plan.change = append(plan.change, l)
			plan.remove = append(plan.remove, one)
		}
	}
	for _, one := range open {
		plan.remove = append(plan.remove, one)
	}
	return plan
}

// reopen closes the addresses that are given up or get other limits, and opens
// the latter anew. For the moment in between nobody can connect there.
func (d *Daemon) reopen(plan doorPlan) error {
	for _, one := range plan.remove {
		one.listener.Drain()
	}
	opened, err := d.openDoors(d.cfg, plan.change)
	if err != nil {
		return err
	}
	d.doors = append(d.doors, opened...)
	return startDoors(d.base, opened)
}

// stopDoors waits for the connections of doors that are closed.
func stopDoors(ctx context.Context, doors []*door) error {
	var errs []error
	for _, one := range doors {
		errs = append(errs, one.listener.Stop(ctx))
	}
	return errors.Join(errs...)
}
