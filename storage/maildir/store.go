package maildir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
	"gomaild/storage"
)

// ErrClosed is returned by everything after Close of the store or the handle.
var ErrClosed = errors.New("mail store is closed")

// maxKnown bounds what is remembered about directories and \Recent.
const maxKnown = 10000

// Store is a storage.Store on a tree of Maildirs.
type Store struct {
	fs       durable.FS
	journal  *journal.Journal // nil takes nothing
	template string
	uid, gid int
	special  []SpecialFolder
	log      *slog.Logger
	now      func() time.Time
	names    *namer
	locks    *locker
	warmth   warmth
	buffers  sync.Pool // *[]byte for reading content
	keepers  sync.Pool // *keeper
	poll     time.Duration
	allNamed atomic.Bool // the file system has no files without names
	beside   bool
	watcher  *watcher
	tell     func(storage.UsageChange)
	shared   func(context.Context, mail.Address, storage.Limits, storage.Usage, bool) (func(), error)

	stop     chan struct{}  // closed by Close
	work     sync.WaitGroup // polling, and files being written that nobody waits for
	pollOnce sync.Once

	mu       sync.Mutex
	closed   bool
	accounts map[string]*account // by directory
	known    map[string]struct{} // directories that exist, as far as we know
	recents  map[string]recents  // of mailboxes that nobody has open
	usages   map[string]*usage   // of accounts that nobody has open
	contents map[*content]struct{}
}

var _ storage.Store = (*Store)(nil)

// New makes a store. Close it; the file system stays open.
func New(config Config) (*Store, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		fs:       c.FS,
		journal:  c.Journal,
		template: c.Path,
		uid:      c.UID,
		gid:      c.GID,
		special:  c.Special,
		log:      c.Logger,
		now:      c.Clock,
		names:    newNamer(c.Clock, c.Epoch, os.Getpid(), c.Hostname),
		poll:     c.PollInterval,
		warmth:   warmth{limit: c.Warm},
		beside:   c.Beside,
		watcher:  newWatcher(c.Notify),
		tell:     c.UsageChanged,
		shared:   c.Shared,
		stop:     make(chan struct{}),
		accounts: map[string]*account{},
		known:    map[string]struct{}{},
		recents:  map[string]recents{},
		usages:   map[string]*usage{},
		contents: map[*content]struct{}{},
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.keepers.New = func() any { return new(keeper) }
	s.locks = &locker{
		fs:      c.FS,
		now:     time.Now, // of the disk's own time, as lock files are
		pid:     os.Getpid(),
		host:    c.Hostname,
		started: time.Now(),
		alone:   c.Alone,
		wait:    c.LockWait,
		own:     s.own,
	}
	return s, nil
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, o storage.Owner) (storage.Account, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := expand(s.template, o)
	if err != nil {
		return nil, fmt.Errorf("account %v: %w", o.Address, err)
	}
	a, err := s.acquire(dir)
	if err != nil {
		return nil, err
	}
	h := &accountHandle{account: a}
	a.usage.setOwner(o)
	if s.knows(dir) {
		return h, nil
	}
	err = s.makeMaildir(dir)
	if err == nil && !o.Limits.Counted {
		err = a.usage.abandon()
	}
	if err != nil {
		return nil, fmt.Errorf("account %v: %w", o.Address, errors.Join(err, h.Close()))
	}
	s.learn(dir)
	return h, nil
}

func (s *Store) acquire(dir string) (*account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	a := s.accounts[dir]
	if a == nil {
		a = &account{store: s, dir: dir, boxes: map[string]*mailbox{}, usage: s.usages[dir]}
		if delete(s.usages, dir); a.usage == nil {
			a.usage = &usage{store: s, dir: dir}
		}
		s.accounts[dir] = a
	}
	a.refs++
	return a, nil
}

func (s *Store) release(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.refs--; a.refs > 0 {
		return
	}
	delete(s.accounts, a.dir)
	if len(s.usages) >= maxKnown {
		clear(s.usages)
	}
	if a.usage.isCounted() {
		s.usages[a.dir] = a.usage
	}
}

func (s *Store) knows(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.known[dir]
	return known
}

// learn remembers that a directory is complete. That it may be removed
// meanwhile is dealt with where it is found missing.
func (s *Store) learn(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[dir] = struct{}{}
}

func (s *Store) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, dir)
	delete(s.recents, dir)
}

// Close implements storage.Store. Calls in progress end by themselves; those
// that come later get ErrClosed.
func (s *Store) Close() error {
	s.warmth.stop()
	defer s.warmth.stop() // what was closed meanwhile
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	open := make([]*content, 0, len(s.contents))
	for c := range s.contents {
		open = append(open, c)
	}
	s.mu.Unlock()

	errs := []error{s.watcher.close()}
	s.work.Wait()
	for _, c := range open {
		errs = append(errs, c.Close())
	}
	errs = append(errs, s.locks.dropSample())
	return errors.Join(errs...)
}

// alive is ErrClosed after Close.
func (s *Store) alive() error {
	select {
	case <-s.stop:
		return ErrClosed
	default:
		return nil
	}
}
