package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"gomaild/internal/durable"
)

// ErrDirect says that the journal does not take a delivery, now or ever: it is
// full until the checkpoint ends, broken, or closed, or the message too large,
// or the directory on the move. The caller makes the delivery durable itself.
var ErrDirect = errors.New("journal does not take it")

// Config is what a Journal is made of. FS and Dir are required.
type Config struct {
	FS  durable.FS // the mail root
	Dir string     // below it, for the journal's two files; it is made
	// Size is how much the two files hold together, in octets. Default 64 MiB.
	Size int64
	// Interval is the longest time that a delivery waits for its checkpoint.
	// Default 1 s; negative: only Checkpoint, Close and a half-full file
	// make one.
	Interval time.Duration
	// Fence is asked before each write to the journal and before it is taken
	// off the disk; after an error the journal is given up and left as it is.
	// Default: nobody.
	Fence  func() error
	Logger *slog.Logger // hears of replays (Info) and of faults (Error); default: nobody
}

const (
	defaultSize     = 64 << 20
	defaultInterval = time.Second
)

// Journal is a journal in use. A nil *Journal is one that takes nothing: each
// Deliver returns ErrDirect.
type Journal struct {
	fs       durable.FS
	dir      string
	limit    int64 // of one file
	interval time.Duration
	fence    func() error
	log      *slog.Logger

	wake    chan struct{} // there is something to be checkpointed
	full    chan struct{} // and it shall be now
	stop    chan struct{}
	stopped sync.WaitGroup

	checkpoints sync.Mutex // one at a time; taken before mu

	mu       sync.Mutex
	moved    sync.Cond // a batch was written, a message placed
	active   *segment
	other    *segment
	next     uint64 // number of the next record
	waiting  *batch // nobody writes it yet
	spare    []byte // for the data of the next one
	writing  bool
	pending  map[key]*segment // messages with a live record; nil: in a batch
	resting  map[string]int   // directories of Quiesce
	broken   error            // nothing is appended any more
	removed  bool             // broken, and all is well again without the journal
	isClosed bool
}

// segment is one of the two files.
type segment struct {
	name       string
	file       durable.File
	generation uint64
	end        int64
	keys       []key // deliveries of this generation
	unplaced   int   // of them, not in new/ yet
}

// Open replays what a crash left in the journal and opens it. Close it before
// the file system. Errors are those of the disk: then the mail must not be
// opened, because acknowledged messages may be missing from it.
func Open(c Config) (*Journal, error) {
	j := newJournal(c)
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", c.Dir, err)
	}
	if j.interval > 0 {
		j.stopped.Go(j.run)
	}
	return j, nil
}

// Recover replays what is in the journal in dir, if there is one, and leaves it
// empty: for a start that keeps no journal.
func Recover(c Config) error {
	if _, err := c.FS.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.Interval = -1
	j, err := Open(c)
	if err != nil {
		return err
	}
	return j.Close()
}

func newJournal(c Config) *Journal {
	if c.Size <= 0 {
		c.Size = defaultSize
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Fence == nil {
		c.Fence = func() error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	j := &Journal{
		fs: c.FS, dir: c.Dir, limit: c.Size / 2, interval: c.Interval, fence: c.Fence, log: c.Logger,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}),
		waiting: new(batch), pending: map[key]*segment{}, resting: map[string]int{},
	}
	j.moved.L = &j.mu
	return j
}

func (j *Journal) open() (err error) {
	if err := durable.MkdirAll(j.fs, j.dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.closeFiles())
		}
	}()
	for _, s := range []struct {
		name string
		to   **segment
	}{{"a", &j.active}, {"b", &j.other}} {
		f, err := j.fs.OpenFile(path.Join(j.dir, s.name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		*s.to = &segment{name: path.Join(j.dir, s.name), file: f}
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	if err := j.replay(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := j.begin(); err != nil {
		return j.removeFiles() // a full disk: everything is in its place, so go on without
	}
	return nil
}

// begin starts a generation in the file that does not hold the last one, and
// says there that all before is done. A generation that a crash cut off at its
// first batch must not be taken up again: what is left of it could pass for a
// part of ours. Hence the chance.
func (j *Journal) begin() error {
	if j.active.generation >= j.other.generation {
		j.active, j.other = j.other, j.active
	}
	last := j.other.generation
	j.active.generation = last + 1 + rand.Uint64N(1<<30)
	j.active.end = 0
	j.next = 1
	return j.appendWait(&record{kind: done, upTo: last})
}

// Limit is the size of content from which a delivery goes the direct way, 0 if
// all do.
func (j *Journal) Limit() int {
	if j == nil {
		return 0
	}
	return min(LargestMessage, int(j.limit/8))
}

// Deliver makes the delivery e durable and then calls place, which renames the
// file into new/. nil means that the message survives a power cut. ErrDirect
// comes before place was called; any other error is place's.
func (j *Journal) Deliver(e Entry, place func() error) error {
	if j == nil || len(e.Content) > j.Limit() || !e.valid() {
		return ErrDirect
	}
	s, err := j.deliver(&record{kind: delivery, entry: e})
	if err != nil {
		return err
	}
	err = place()
	j.placed(s)
	if err != nil {
		return errors.Join(err, j.Forget(e.Dir, e.Name)) // nobody will hear of a 250
	}
	return nil
}

func (j *Journal) placed(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.unplaced--; s.unplaced == 0 {
		j.moved.Broadcast()
	}
}

// Lives reports whether a message in dir, called by any of its names, is
// durable only through the journal so far.
func (j *Journal) Lives(dir, name string) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, lives := j.pending[key{dir, baseOf(name)}]
	return lives
}

// Forget makes sure that messages in dir, called by any of their names, will
// not come back: call it before they are removed. On an error they stay. For
// messages without a live record it does nothing.
func (j *Journal) Forget(dir string, names ...string) error {
	if j == nil {
		return nil
	}
	var keys []key
	j.mu.Lock()
	for _, name := range names {
		k := key{dir, baseOf(name)}
		if _, lives := j.pending[k]; lives {
			keys = append(keys, k)
		}
	}
	j.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	if err := j.forget(keys); err != nil {
		return j.remove() // a journal that is gone brings nothing back
	}
	return nil
}

func (j *Journal) forget(keys []key) error {
	records := make([]*record, len(keys))
	for i, k := range keys {
		records[i] = &record{kind: forget, entry: Entry{Dir: k.dir, Name: k.base}}
	}
	if err := j.appendWait(records...); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range keys {
		delete(j.pending, k)
	}
	return nil
}

// Quiesce returns when no record lives for the directories and what is below
// them, and takes no more until release is called: for a rename or a removal.
// On an error there is nothing to release.
func (j *Journal) Quiesce(dirs ...string) (release func(), err error) {
	if j == nil {
		return func() {}, nil
	}
	j.rest(dirs, +1)
	for j.livesIn(dirs) && err == nil {
		err = j.Checkpoint()
	}
	if err != nil {
		j.rest(dirs, -1)
		return nil, err
	}
	return func() { j.rest(dirs, -1) }, nil
}

func (j *Journal) rest(dirs []string, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range dirs {
		if j.resting[d] += n; j.resting[d] == 0 {
			delete(j.resting, d)
		}
	}
}

// isResting reports whether a delivery into dir has to wait. mu is held.
func (j *Journal) isResting(dir string) bool {
	for d := range j.resting {
		if isBelow(dir, d) {
			return true
		}
	}
	return false
}

func isBelow(dir, above string) bool {
	rest, ok := strings.CutPrefix(dir, above)
	return ok && (rest == "" || rest[0] == '/')
}

func (j *Journal) livesIn(dirs []string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k := range j.pending {
		if slices.ContainsFunc(dirs, func(d string) bool { return isBelow(k.dir, d) }) {
			return true
		}
	}
	return false
}

// Close makes everything durable in its place and leaves the journal empty: any
// other program may have the mount now. Nobody delivers any more.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	closed := j.isClosed
	j.isClosed = true
	j.mu.Unlock()
	if closed {
		return nil
	}
	close(j.stop)
	j.stopped.Wait()
	return errors.Join(j.Checkpoint(), j.closeFiles())
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, s := range []*segment{j.active, j.other} {
		if s != nil && s.file != nil {
			errs = append(errs, s.file.Close())
			s.file = nil
		}
	}
	return errors.Join(errs...)
}
