package journal

import (
	"errors"
	"io/fs"
	"path"
	"time"
)

// run makes a checkpoint an interval after the first delivery since the last
// one, or when the active file is half full.
func (j *Journal) run() {
	for {
		select {
		case <-j.stop:
			return
		case <-j.full:
		case <-j.wake:
			if !j.pause() {
				return
			}
		}
		if err := j.Checkpoint(); err != nil {
			j.log.Error("checkpoint of the journal", "dir", j.dir, "error", err)
		}
	}
}

// pause waits for the interval or a full file; false at the end.
func (j *Journal) pause() bool {
	timer := time.NewTimer(j.interval)
	defer timer.Stop()
	select {
	case <-j.stop:
		return false
	case <-j.full:
	case <-timer.C:
	}
	return true
}

// Checkpoint makes all deliveries before it durable in their places and their
// records dead. After an error the journal is broken.
func (j *Journal) Checkpoint() error {
	if j == nil {
		return nil
	}
	j.checkpoints.Lock()
	defer j.checkpoints.Unlock()
	j.mu.Lock()
	if len(j.waiting.data) > 0 && j.broken == nil {
		_ = j.commit(j.waiting) // who waits for it hears of the error, and so do we
	}
	if j.broken != nil {
		j.mu.Unlock()
		return j.removeFiles()
	}
	old := j.active
	if len(old.keys) == 0 {
		j.mu.Unlock()
		return nil
	}
	j.active, j.other = j.other, old
	j.active.generation = old.generation + 1
	j.active.end = 0
	j.mu.Unlock()

	if err := j.settle(old); err != nil {
		return err
	}
	if err := j.appendWait(&record{kind: done, upTo: old.generation}); err != nil {
		return j.removeFiles()
	}
	j.bury(old)
	return nil
}

// settle makes the messages of a segment durable in their places.
func (j *Journal) settle(s *segment) error {
	j.mu.Lock()
	for j.writing || s.unplaced > 0 {
		j.moved.Wait()
	}
	j.mu.Unlock()
	err := j.fs.Barrier()
	if err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.breakWith(err)
	}
	return err
}

// bury takes the messages of a segment out of what Forget has to look after.
func (j *Journal) bury(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range s.keys {
		if at, lives := j.pending[k]; lives && at == s {
			delete(j.pending, k)
		}
	}
	s.keys = s.keys[:0]
}

// remove is removeFiles for who does not hold checkpoints.
func (j *Journal) remove() error {
	j.checkpoints.Lock()
	defer j.checkpoints.Unlock()
	return j.removeFiles()
}

// removeFiles takes a broken journal off the disk when all messages are durable
// without it. The active file goes last: it says what of the other is dead.
func (j *Journal) removeFiles() error {
	j.mu.Lock()
	removed := j.removed
	j.mu.Unlock()
	if removed {
		return nil
	}
	if err := j.fence(); err != nil {
		return err // it is somebody else's now
	}
	for _, s := range []*segment{j.other, j.active} {
		if err := j.settle(s); err != nil {
			return err
		}
	}
	for _, s := range []*segment{j.other, j.active} {
		if err := j.fs.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := j.fs.SyncDir(path.Dir(s.name)); err != nil {
			return err
		}
	}
	j.bury(j.other)
	j.bury(j.active)
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.pending) // what is in no segment was never written
	j.removed = true
	return nil
}
