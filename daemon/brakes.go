package daemon

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"gomaild/internal/durable"
	"gomaild/policy/rate"
)

// brakesFile is what users have used, kept over a restart and a failover.
const brakesFile = ownDir + "/brakes"

// How often it is written, if anything was counted. A crash loses what was
// counted since: users may send that much more, or are counted as new to a
// recipient once more.
const (
	brakesEvery = time.Minute
	knownEvery  = 10 * time.Minute // it may have megabytes
)

// openBrakes reads what users had used, and writes it from time to time and when
// the daemon stops.
func (d *Daemon) openBrakes() error {
	for _, k := range []*keptRates{
		{name: brakesFile, table: d.brakes, every: brakesEvery},
		{name: brakesFile + "-known", table: d.known, every: knownEvery},
	} {
		k.fs, k.fence = d.mail.fs, d.mail.fence
		k.warn = func(err error) { d.log.Warn("brakes not saved", "error", err) }
		if err := k.restore(); err != nil {
			return d.cfg.At("storage.root", err, "name a directory that gomaild may read and write")
		}
		ctx, cancel := context.WithCancel(d.base)
		var running sync.WaitGroup
		running.Go(func() { k.run(ctx) })
		d.undo.push("save the brakes", func(context.Context) error {
			cancel()
			running.Wait()
			return k.save()
		})
	}
	return nil
}

// keptRates is a table that lies in a file too.
type keptRates struct {
	fs    durable.FS
	fence func() error // with an error nothing is written any more
	name  string
	table *rate.Table
	every time.Duration
	warn  func(error)

	saved uint64 // the table's changes that are in the file
}

func (k *keptRates) restore() error {
	text, err := durable.ReadFile(k.fs, k.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k.table.Restore(time.Now(), text)
	k.saved = k.table.Changes()
	return nil
}

// run saves from time to time, until ctx ends.
func (k *keptRates) run(ctx context.Context) {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := k.save(); err != nil {
				k.warn(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (k *keptRates) save() error {
	changes := k.table.Changes()
	if changes == k.saved || k.fence() != nil {
		return nil
	}
	if err := durable.WriteFile(k.fs, k.name, k.table.Text(time.Now()), 0o600); err != nil {
		return err
	}
	k.saved = changes
	return nil
}
