package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// A dotlock is a file made with O_EXCL, as Dovecot's. In it stands
// "<pid>:<host>": Dovecot itself reads that of a lock it finds, leaves it while
// the process lives and takes it over at once when it does not.
//
// We take over a lock
//   - of a process of this host that is gone, or had our own number before we were;
//   - of another host, made before this store was opened: a mail root is
//     mounted on one node at a time, so that node is dead or has stopped;
//   - of anybody, made before this store was opened, if nobody else had the
//     mail root open then (Config.Alone): after a power cut a lock may have
//     lost its content;
//   - of gomaild that is empty and was made before this store was opened: who made
//     it was killed before it wrote into it, which is the next it does. Dovecot's
//     locks may be empty while they are held, so ours can be told by their mode;
//   - that did not change for staleAfter while we watched it (Dovecot's rule).
const (
	staleAfter  = 120 * time.Second
	lockPause   = 20 * time.Millisecond // between two looks
	refreshLock = 10 * time.Second      // a lock that is held longer is touched

	lockMode fs.FileMode = 0o400 // nobody writes to it but who made it
)

// locker makes dotlocks.
type locker struct {
	fs      durable.FS
	now     func() time.Time
	pid     int
	host    string
	started time.Time
	alone   bool
	wait    time.Duration // how long a lock of others is waited for
	own     func(name string) error
	sample  sample
}

// dotlock is a lock that is held.
type dotlock struct {
	*locker
	name    string
	touched time.Time
}

// lock makes the lock file. storage.ErrInUse means that somebody else held it all
// the time.
func (l *locker) lock(ctx context.Context, name string) (*dotlock, error) {
	held := &dotlock{l, name, l.now()}
	if sample := l.sampleName(); sample != "" {
		err := l.take(ctx, name, func() error { return l.fs.Link(sample, name) })
		if err == nil || errors.Is(err, storage.ErrInUse) {
			return held, err
		}
		// Otherwise the long way says what is wrong, or that all is well with it.
	}
	f, err := l.create(ctx, name)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(l.owner())
	if isFull(err) {
		err = nil // the file is the lock, whatever it holds; it may be needed to make room
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, held.unlock())
	}
	return held, nil
}

// owner is what stands in a lock of ours.
func (l *locker) owner() []byte { return []byte(strconv.Itoa(l.pid) + ":" + l.host) }

// create makes the lock file, waiting for others to go.
func (l *locker) create(ctx context.Context, name string) (f durable.File, err error) {
	err = l.take(ctx, name, func() error {
		f, err = l.fs.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, lockMode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, l.own(name)
}

// take makes the lock file with do, waiting for others to go.
func (l *locker) take(ctx context.Context, name string, do func() error) error {
	w := watch{locker: l, name: name, since: l.now()}
	begun := w.since
	for {
		if err := do(); !errors.Is(err, fs.ErrExist) {
			return err
		}
		free, err := w.look()
		if err != nil {
			return err
		}
		if free {
			continue
		}
		if l.now().Sub(begun) > l.wait {
			return fmt.Errorf("%s: %w", name, storage.ErrInUse)
		}
		if err := sleep(ctx, lockPause); err != nil {
			return fmt.Errorf("%s: %w: %w", name, storage.ErrInUse, err)
		}
	}
}

// unlock removes the lock.
func (d *dotlock) unlock() error {
	return ignoreMissing(d.fs.Remove(d.name))
}

// refresh shows others that the lock is alive; to be called in long loops.
func (d *dotlock) refresh() error {
	now := d.now()
	if now.Sub(d.touched) < refreshLock {
		return nil
	}
	d.touched = now
	return d.fs.Chtimes(d.name, now, now)
}

// watch looks at a lock of somebody else.
type watch struct {
	*locker
	name  string
	seen  lockStamp
	since time.Time // seen did not change since
}

// lockStamp tells a lock from the one before. Locks that were linked to one sample
// differ in nothing but the time of the last change of the inode.
type lockStamp struct {
	stamp
	changed int64
}

func lockStampOf(info fs.FileInfo) lockStamp {
	return lockStamp{stampOf(info), changeTime(info).UnixNano()}
}

// look removes the lock if it is dead; true if there is none any more.
func (w *watch) look() (free bool, err error) {
	info, err := w.fs.Lstat(w.name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if now := lockStampOf(info); now != w.seen {
		w.seen, w.since = now, w.now()
	}
	if w.now().Sub(w.since) < staleAfter && !w.ownerIsGone(info) {
		return false, nil
	}
	return w.takeOver()
}

// takeOver removes the lock unless it is a new one by now.
func (w *watch) takeOver() (free bool, err error) {
	info, err := w.fs.Lstat(w.name)
	if err == nil && lockStampOf(info) != w.seen {
		return false, nil
	}
	if err == nil {
		err = w.fs.Remove(w.name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err == nil, err
}

func (w *watch) ownerIsGone(info fs.FileInfo) bool {
	made := changeTime(info) // the file itself may be older: see sample
	old := made.Before(w.started)
	if old && (w.alone || info.Size() == 0 && info.Mode().Perm() == lockMode) {
		return true
	}
	data, err := durable.ReadFile(w.fs, w.name)
	if err != nil {
		return false
	}
	number, host, found := strings.Cut(string(data), ":")
	pid, err := strconv.Atoi(number)
	if !found || err != nil || pid <= 0 {
		return false
	}
	if host != w.host {
		return !made.After(w.started)
	}
	if pid == w.pid {
		return old // in a container the server is always process 1
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stamp tells whether a file or directory is another than before.
type stamp struct {
	ino   uint64
	size  int64
	mtime int64 // nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ino = st.Ino
	}
	return s
}
