package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// Source is a database that can be copied.
type Source interface {
	accounts.Lookup
	// Passwords is a mailbox with its stored passwords. ErrNotFound as for
	// Mailbox.
	Passwords(ctx context.Context, a mail.Address) (accounts.Mailbox, []string, error)
	// Version changes when the rows do.
	Version(ctx context.Context) (string, error)
	Dump(ctx context.Context) (accounts.Dump, error)
	// SigningKeys are all DKIM keys.
	SigningKeys(ctx context.Context) ([]accounts.SigningKey, error)
}

// Config is where the copy is kept. At least one Place is required; the first is
// that which is there when no other is.
type Config struct {
	Places []Place
	Now    func() time.Time // default time.Now
}

// Place is a file. Where there are several, a start takes the copy that the database
// was last seen to hold: a node that takes over has its own, which may be old, and
// that of the node before it, which moves with the mail.
type Place struct {
	FS   durable.FS
	Name string
}

// Keeper holds the copy in memory and on disk. It is safe for concurrent use.
type Keeper struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	rows    *rows      // nil without a copy
	version string     // of the database; "" after a start
	seen    time.Time  // when the database was last seen to hold the rows
	used    int64      // answers given from the copy

	refreshing sync.Mutex
}

// rows is a copy, by key.
type rows struct {
	domains   map[string]accounts.Domain
	mailboxes map[mail.Address]accounts.Credentials
	aliases   map[mail.Address][]mail.Address
	keys      []accounts.SigningKey // nil: they were not copied
}

// ErrDamaged is a file that is no copy; the Keeper works without one.
var ErrDamaged = errors.New("the snapshot of the accounts is damaged and not used")

const header = "gomaild-accounts 1 "

// Open reads the newest copy, if there is one. ErrDamaged comes beside a Keeper
// that works.
func Open(c Config) (*Keeper, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Keeper{cfg: c}
	var damaged error
	for _, p := range c.Places {
		d, seen, err := p.read()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, ErrDamaged):
			damaged = err
		case err != nil:
			return nil, fmt.Errorf("snapshot: %w", err)
		case k.rows == nil || seen.After(k.seen):
			k.rows, k.seen = index(d), seen
		}
	}
	return k, damaged
}

// read is the copy there, and when the database was last seen to hold it.
func (p Place) read() (d accounts.Dump, seen time.Time, err error) {
	text, err := durable.ReadFile(p.FS, p.Name)
	if err != nil {
		return d, seen, err
	}
	info, err := p.FS.Stat(p.Name)
	if err != nil {
		return d, seen, err
	}
	d, err = decode(text)
	return d, info.ModTime(), err
}

func encode(d accounts.Dump) ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return append([]byte(header+hex.EncodeToString(sum[:])+"\n"), text...), nil
}

func decode(text []byte) (accounts.Dump, error) {
	var d accounts.Dump
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	want, ok := strings.CutPrefix(string(first), header)
	sum := sha256.Sum256(rest)
	if !ok || hex.EncodeToString(sum[:]) != want {
		return d, ErrDamaged
	}
	if err := json.Unmarshal(rest, &d); err != nil {
		return d, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return d, nil
}

func index(d accounts.Dump) *rows {
	r := &rows{
		domains:   make(map[string]accounts.Domain, len(d.Domains)),
		mailboxes: make(map[mail.Address]accounts.Credentials, len(d.Mailboxes)),
		aliases:   make(map[mail.Address][]mail.Address, len(d.Aliases)),
		keys:      d.SigningKeys,
	}
	for _, one := range d.Domains {
		r.domains[one.Name] = one
	}
	for _, one := range d.Mailboxes {
		r.mailboxes[one.Address] = one
	}
	for _, one := range d.Aliases {
		r.aliases[one.Address] = one.To
	}
	return r
}

// Refresh copies the database if it has changed since the last time, and notes
// that it was seen. The error is a fault of the database, and the copy stays what it
// was, or of a disk, and then it is not everywhere.
func (k *Keeper) Refresh(ctx context.Context, src Source) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	now := k.cfg.Now()
	version, err := src.Version(ctx)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	k.mu.Lock()
	same := k.version != "" && k.version == version
	k.mu.Unlock()
	if same {
		return k.note(now)
	}
	d, err := src.Dump(ctx)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	err = k.write(d, now)
	if err != nil {
		version = "" // it is written again
	}
	k.mu.Lock()
	k.rows, k.version, k.seen = index(d), version, now
	k.mu.Unlock()
	return err
}

// write replaces the files. The rows are never where others can read them.
func (k *Keeper) write(d accounts.Dump, now time.Time) error {
	text, err := encode(d)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return k.each(func(p Place) error {
		if err := durable.WriteFile(p.FS, p.Name, text, 0o600); err != nil {
			return err // and what is there keeps its time
		}
		return p.FS.Chtimes(p.Name, now, now)
	})
}

// each does something to all files, whatever comes of one.
func (k *Keeper) each(act func(Place) error) error {
	var errs []error
	for _, p := range k.cfg.Places {
		errs = append(errs, act(p))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// note remembers, on disk too, that the database holds what the copy holds.
func (k *Keeper) note(now time.Time) error {
	k.mu.Lock()
	k.seen = now
	k.mu.Unlock()
	return k.each(func(p Place) error { return p.FS.Chtimes(p.Name, now, now) })
}

// Status is what an operator wants to know.
type Status struct {
	Age  time.Duration // since the database was last seen; below 0 without a copy
	Used int64         // answers given from the copy since the start
}

// Status tells the age and the use of the copy.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Age: -1, Used: k.used}
	if k.rows != nil {
		s.Age = max(k.cfg.Now().Sub(k.seen), 0)
	}
	return s
}

// use is the copy if it is not older than most, and counts its use.
func (k *Keeper) use(most time.Duration) *rows {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows == nil || k.cfg.Now().Sub(k.seen) > most {
		return nil
	}
	k.used++
	return k.rows
}
