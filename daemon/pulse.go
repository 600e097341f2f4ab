package daemon

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"gomaild/cluster/control"
	"gomaild/internal/listener"
)

// hungAfter is how many looks in a row, one each listener.TurnEvery, must find the
// accept loop of a listener where it was. It is looks that count and not time: a
// process that was paused, or got no processor, missed its looks as well.
const hungAfter = 3

// hanging are the listeners that hang, by name.
type hanging []string

// Alive is nil unless a listener of a serving daemon takes no more connections:
// something that its accept loop needs is held for ever. Only an end of the process
// mends that.
func (d *Daemon) Alive() error {
	s, h := d.shown.Load(), d.hanging.Load()
	if s == nil || s.phase != control.Serving || h == nil || len(*h) == 0 {
		return nil
	}
	return fmt.Errorf("takes no more connections: %s", strings.Join(*h, ", "))
}

// watchDoors looks after the accept loops until the daemon stops.
func (d *Daemon) watchDoors() {
	ctx, cancel := context.WithCancel(d.base)
	d.hanging.Store(nil)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(listener.TurnEvery)
		defer tick.Stop()
		pulses := map[*door]pulse{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.feel(pulses)
			}
		}
	})
	d.undo.push("stop watching the listeners", func(context.Context) error {
		cancel()
		watching.Wait()
		return nil
	})
}

// pulse is what the last look found of a door.
type pulse struct {
	turns uint64
	still int // looks that found no more turns than the one before
}

// feel is one look at all doors.
func (d *Daemon) feel(pulses map[*door]pulse) {
	now := d.shown.Load().doors
	var hung hanging
	var fresh []*door
	last := make(map[*door]pulse, len(now))
	for _, one := range now {
		p, known := pulses[one]
		if turns := one.listener.Turns(); !known || turns != p.turns {
			p = pulse{turns: turns}
		} else {
			p.still++
		}
		if p.still >= hungAfter {
			hung = append(hung, fmt.Sprintf("%s %v", one.Type, one.listener.Addr()))
		}
		if p.still == hungAfter {
			fresh = append(fresh, one)
		}
		last[one] = p
	}
	clear(pulses)
	for one, p := range last {
		pulses[one] = p
	}
	d.hanging.Store(&hung)
	for _, one := range fresh { // last: what hangs may be the log
		d.log.Error("a listener hangs", "listener", string(one.Type), "address", one.listener.Addr().String())
	}
}
