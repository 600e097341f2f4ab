package daemon

import (
	"context"
	"sync"
)

// watch looks after the mail root until the daemon stops.
func (d *Daemon) watch() {
	ctx, cancel := context.WithCancel(d.base)
	var watching sync.WaitGroup
	watching.Go(func() { d.mail.watch(ctx) })
	d.undo.push("stop watching", func(context.Context) error {
		cancel()
		watching.Wait()
		return nil
	})
}

// Ending is for whoever runs the daemon, after Start: an error that comes says
// why this process may not go on. Stop it and exit. *cluster.StaleError: another
// node has taken over, and nothing more is written to the mail. Any other is a
// fault of the disk or of the mount.
func (d *Daemon) Ending() <-chan error { return d.mail.ending }
