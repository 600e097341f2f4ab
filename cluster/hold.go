package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/internal/durable"
)

// ErrHeld means that another daemon runs on the mail root. The text says which.
var ErrHeld = errors.New("another gomaild has the mail root")

// Config is what Take needs. FS is required; the zero value of every other field
// works.
type Config struct {
	FS   durable.FS // the mail root
	Dir  string     // below it; default ".gomaild"
	Node string     // of this node; default: what the system calls itself
	Boot string     // the boot id; default: the kernel's
	// ID is the cluster's. A root that is marked with another one is refused
	// with ErrForeign. "": any will do.
	ID string
	// Marked refuses a root without marker (ErrUnmarked). Otherwise one is made.
	Marked bool
	Now    func() time.Time // default time.Now
}

// DefaultDir is Config.Dir where it is empty.
const DefaultDir = ".gomaild"

func (c Config) withDefaults() (Config, error) {
	if c.FS == nil {
		return c, errors.New("cluster: no file system")
	}
	if c.Dir == "" {
		c.Dir = DefaultDir
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return c, err
		}
		c.Node = name
	}
	if c.Boot == "" {
		c.Boot = bootID()
	}
	return c, nil
}

// Hold is the right to run on a mail root, until Release. It is safe for
// concurrent use.
type Hold struct {
	now    func() time.Time
	fs     durable.FS
	dir    string
	id     string
	record Record
	before Record
	lock   durable.File
	epoch  durable.File // read past the page cache, if that can be
	cached durable.File // the same, from the page cache

	looking chan struct{} // full while the disk is asked; guards block
	block   []byte        // read into

	asking  sync.Mutex // held for a moment; guards the fields below
	scratch []byte     // read into from the page cache
	known   []byte     // as the disk had it when asked
	asked   time.Time  // begin of the last question that was answered with nil

	stale  atomic.Pointer[StaleError]
	lost   chan struct{}
	looked atomic.Pointer[time.Time]
}

// Take checks the marker, takes the lock, and raises the epoch. Errors: ErrHeld,
// ErrForeign, ErrUnmarked and ErrDamaged, which a person must look into; others
// are the disk's.
func Take(config Config) (*Hold, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := CheckMarker(c); err != nil { // before anything is written
		return nil, err
	}
	if err := makeDir(c.FS, c.Dir); err != nil {
		return nil, err
	}
	h := &Hold{now: c.Now, fs: c.FS, dir: c.Dir, lost: make(chan struct{}), looking: make(chan struct{}, 1), block: alignedBlock(), scratch: make([]byte, blockSize), known: make([]byte, blockSize)}
	err = h.take(c)
	if err != nil {
		return nil, errors.Join(err, h.Release())
	}
	return h, nil
}

func (h *Hold) take(c Config) (err error) {
	if h.lock, err = c.FS.OpenFile(path.Join(c.Dir, "lock"), os.O_RDONLY|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("lock the mail root: %w", err)
	}
	err = h.lock.TryLock()
	if errors.Is(err, durable.ErrLocked) {
		return heldBy(c)
	}
	if err != nil {
		return fmt.Errorf("lock the mail root: %w", err)
	}
	if h.id, err = markerOf(c); err != nil {
		return err
	}
	if err := h.raise(c); err != nil {
		return fmt.Errorf("raise the epoch: %w", err)
	}
	if h.cached, err = c.FS.OpenFile(epochFile(c), os.O_RDONLY, 0); err != nil {
		return err
	}
	h.epoch, err = openEpoch(c)
	h.look()
	return err
}

// heldBy is ErrHeld with the name of the holder, as far as it is known.
func heldBy(c Config) error {
	if last, err := lastStart(c); err == nil && last.Epoch > 0 {
		return fmt.Errorf("%w (%v)", ErrHeld, last)
	}
	return ErrHeld
}

// makeDir makes what is missing; usually it is all there.
func makeDir(fsys durable.FS, dir string) error {
	if info, err := fsys.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	return durable.MkdirAll(fsys, dir, 0o700)
}

func epochFile(c Config) string { return path.Join(c.Dir, "epoch") }

// lastStart is the highest record, the zero one where there is no file.
func lastStart(c Config) (Record, error) {
	data, err := durable.ReadFile(c.FS, epochFile(c))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	return decode(data)
}

// raise writes the next epoch. The lock is held.
func (h *Hold) raise(c Config) error {
	last, err := lastStart(c)
	if err != nil {
		return err
	}
	h.before = last
	h.record = Record{Epoch: last.Epoch + 1, Node: c.Node, Boot: c.Boot, PID: os.Getpid(), Started: c.Now().UTC()}
	data, err := h.record.encode()
	if err != nil {
		return err
	}
	if last.Epoch == 0 {
		block := make([]byte, blockSize)
		copy(block[half(h.record.Epoch):], data)
		return durable.WriteFile(c.FS, epochFile(c), block, 0o600)
	}
	f, err := c.FS.OpenFile(epochFile(c), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, half(h.record.Epoch))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Record is the present start; its Epoch is part of the names that this process
// makes.
func (h *Hold) Record() Record { return h.record }

// Before is the start before this one, the zero value if this is the first.
func (h *Hold) Before() Record { return h.before }

// ID is the cluster's, from the marker.
func (h *Hold) ID() string { return h.id }

// TookOver reports that the start before was on another node, or before this
// one's reboot: no process of that time can live here.
func (h *Hold) TookOver() bool {
	b := h.before
	return b.Epoch > 0 && (b.Node != h.record.Node || b.Boot != h.record.Boot)
}

// Release gives the root free, as the last thing before it is closed. Fence is
// not called any more.
func (h *Hold) Release() error {
	var errs []error
	for _, f := range []*durable.File{&h.epoch, &h.cached, &h.lock} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}
