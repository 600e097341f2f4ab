package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
)

// The power is cut after each operation of each action on three messages, in a
// queue that runs and in one that does not; and again after each operation of the
// start that follows, of the release of all that is on hold, and of the attempts.
// What was acknowledged is so, what was not is as it was or as it was to be; at the
// end every message that nobody deleted has arrived whole, once for each time that
// an attempt may have been cut off behind the answer.
func TestActionsPowerCut(t *testing.T) {
	t.Parallel()
	for _, a := range []Action{Hold, Release, Retry, Delete} {
		for _, runs := range []bool{true, false} {
			for _, survival := range crashfs.Survivals() {
				t.Run(fmt.Sprintf("%s/%v/%v", a, runs, survival), func(t *testing.T) {
					t.Parallel()
					for n := int64(0); ; n++ {
						c := actionCut{action: a, runs: runs, survival: survival}
						if !c.act(t, n) {
							break
						}
						// Every k meets an n, not each: all pairs take a minute of
						// processor time.
						const stride = 11
						for k := n % stride; runs && survival != crashfs.Everything && c.recover(t, n, k); k += stride { //nolint:revive // all is in the condition
						}
					}
				})
			}
		}
	}
}

// actionCut is a queue that lost its power while an action was carried out.
type actionCut struct {
	action   Action
	runs     bool
	survival crashfs.Survival

	disk  *crashfs.FS // after the cut
	owed  []string    // IDs of those that were not deleted for certain
	maybe []string    // IDs of those that may have been deleted
}

// act cuts the power after n operations of the action, and looks at what is left.
func (c *actionCut) act(t *testing.T, n int64) (cut bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{answer: later}, crashfs.New()
		q := mustOpen(t, w, disk)
		var ids []string
		for _, host := range []string{"a.test", "b.test", "c.test"} {
			ids = append(ids, add(t, q, host))
		}
		synctest.Wait()
		if c.action == Release {
			apply(t, q, Hold, Selection{}, len(ids))
		}
		var apply func(Action, Selection) (int, error)
		if apply = q.Apply; !c.runs {
			q.Close()
			apply = func(a Action, s Selection) (int, error) { return Apply(disk, a, s) }
		}
		start := disk.Operations()
		disk.CutAfter(n)
		done, err := apply(c.action, Selection{})
		synctest.Wait()
		cut = disk.Operations() > start+n
		c.disk = disk.Crash(c.survival)
		q.Close()

		var held []string
		left := map[string]bool{}
		for e, err := range List(c.disk, Selection{}) {
			if err != nil {
				t.Fatalf("after %d: %v", n, err)
			}
			if left[e.ID] = true; e.Held {
				held = append(held, e.ID)
			}
		}
		for i, id := range ids {
			isSure := err == nil || i < done-1 // the last one that was begun may be either
			wasHeld := c.action == Release
			isHeld := slices.Contains(held, id)
			switch {
			case c.action != Delete && !left[id]:
				t.Errorf("after %d: %s is lost", n, id)
			case c.action == Delete && isSure && left[id]:
				t.Errorf("after %d: %s was deleted and is there", n, id)
			case c.action == Hold && isSure && !isHeld, c.action == Release && isSure && isHeld, c.action == Retry && isHeld != wasHeld:
				t.Errorf("after %d of %v: %s is held: %v", n, err, id, isHeld)
			}
			switch {
			case left[id]:
				c.owed = append(c.owed, id)
			case c.action == Delete:
				c.maybe = append(c.maybe, id)
			}
		}
	})
	return cut
}

// recover cuts the power again, after k operations of the next start.
func (c *actionCut) recover(t *testing.T, n, k int64) (cut bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		disk := c.disk.Crash(crashfs.Everything) // a copy
		disk.CutAfter(k)
		times := map[string]int{}
		var mu sync.Mutex
		w := &world{answer: func(_ context.Context, job Job, _ mail.Recipient) error {
			mu.Lock()
			defer mu.Unlock()
			times[job.ID]++
			return nil
		}}
		if q, err := w.open(t, disk); err == nil {
			_, _ = q.Apply(Release, Selection{}) // whatever is on hold
			time.Sleep(time.Minute)
			q.Close()
		}
		cut = disk.Operations() > k
		q := mustOpen(t, w, disk.Crash(c.survival))
		_, _ = q.Apply(Release, Selection{})
		time.Sleep(6 * time.Hour)
		if s := q.Stats(); s.Messages != 0 {
			t.Errorf("after %d and %d: %+v", n, k, s)
		}
		q.Close()
		for _, id := range c.owed {
			if times[id] < 1 || times[id] > 2 {
				t.Errorf("after %d and %d: %s arrived %d times", n, k, id, times[id])
			}
		}
		for _, id := range c.maybe {
			if times[id] > 0 {
				t.Errorf("after %d and %d: %s was gone and arrived", n, k, id)
			}
		}
		for _, got := range w.got {
			if !strings.HasSuffix(got, " x") {
				t.Errorf("after %d and %d: %q is not whole", n, k, got)
			}
		}
	})
	return cut
}
