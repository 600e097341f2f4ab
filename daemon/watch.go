package daemon

import (
	"context"
	"sync"

	"gomaild/cluster"
)

// watch asks for the epoch also while no mail comes, until the daemon stops.
func (d *Daemon) watch(hold *cluster.Hold) {
	select {
	case <-d.ending: // of an earlier life
	default:
	}
	ctx, cancel := context.WithCancel(d.base)
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := hold.Watch(ctx); err != nil {
			d.end(err)
		}
	})
	d.undo.push("stop watching", func(context.Context) error {
		cancel()
		watching.Wait()
		return nil
	})
}

// end asks whoever runs the daemon to stop it and to leave the process.
func (d *Daemon) end(err error) {
	select {
	case d.ending <- err:
	default: // it was asked already
	}
}

// Ending is for whoever runs the daemon: an error that comes says why this
// process may not go on. Nothing more is written to the mail; Stop it and exit.
// *cluster.StaleError: another node has taken over.
func (d *Daemon) Ending() <-chan error { return d.ending }
