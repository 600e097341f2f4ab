package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"
)

// How often Watch looks, and how often it writes.
const (
	watchEvery = time.Second
	beatEvery  = 2 * time.Second
)

// HungError is what Watch returns of a disk that neither answers nor fails: half
// alive, the process would keep its sessions waiting for ever.
type HungError struct{ For time.Duration }

// Error says for how long.
func (e *HungError) Error() string {
	return fmt.Sprintf("the disk of the mail has not answered for %v", e.For.Round(time.Second))
}

// Watch asks Fence and check each second, also while nobody else does, and each
// other second writes to the disk and waits until that is durable, until ctx
// ends, which is nil. An error means that the process has to end: a *StaleError,
// which is returned at once whoever's question brought it up, check's, or a
// *HungError when the disk has left a look unanswered for patience (0: it is
// waited for without end). Then that look goes on behind the caller's back, since
// nothing ends a wait for the disk but the disk.
func (h *Hold) Watch(ctx context.Context, patience time.Duration, check func() error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	looks := make(chan error, 1)
	var begun, beat time.Time // of the look that is under way, zero without; of the last write
	for {
		select {
		case <-ctx.Done():
			if !begun.IsZero() {
				return await(looks, patience-time.Since(begun))
			}
			return nil
		case <-h.lost:
			return h.Err()
		case err := <-looks:
			begun = time.Time{}
			if err != nil {
				return err
			}
		case now := <-tick.C:
			switch {
			case begun.IsZero():
				begun = now
				beats := now.Sub(beat) >= beatEvery
				if beats {
					beat = now
				}
				go func() { looks <- h.lookAt(check, beats) }()
			case patience > 0 && now.Sub(begun) >= patience:
				return &HungError{now.Sub(begun)}
			}
		}
	}
}

// await is the end of a look that was under way when nobody wanted to know any
// more.
func await(looks <-chan error, patience time.Duration) error {
	limit := time.NewTimer(max(patience, watchEvery))
	defer limit.Stop()
	select {
	case err := <-looks:
		return err
	case <-limit.C:
		return nil
	}
}

// lookAt is one look. Only what means the end is an error: a fault of the disk
// fails the acts themselves, and durable.Watched tells of it.
func (h *Hold) lookAt(check func() error, beats bool) error {
	fault := h.Fence()
	if fault == nil && beats {
		fault = h.beat()
	}
	if err := check(); err != nil {
		return err
	}
	if fault == nil {
		h.look()
	}
	return nil
}

// beat writes the time into a file and waits until it is on the disk.
func (h *Hold) beat() error {
	f, err := h.fs.OpenFile(path.Join(h.dir, "heartbeat"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0)
	if err == nil {
		err = f.SyncData()
	}
	return errors.Join(err, f.Close())
}

// Looked is when Watch last found everything in order; Take is the first time. It
// falls behind while the disk hangs or fails.
func (h *Hold) Looked() time.Time { return *h.looked.Load() }

func (h *Hold) look() {
	now := time.Now()
	h.looked.Store(&now)
}
