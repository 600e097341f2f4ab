// Package greylist puts strangers off for a few minutes (RFC 6647): who comes
// again is a mail server, who does not was none. What it knows lies in one file
// on the mount, so that a failover puts nobody off a second time:
//
//	gomaild-greylist 1
//	<key> <first seen> <last let in>
//
// with a line for each client network, sender and recipient that came, times in
// seconds since 1970, and a key that is a hash: the file tells nobody who writes
// to whom. It is written at most once a minute and when it is closed; what is
// lost in a crash costs a delay, never mail.
package greylist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/peer"
	"gomaild/mail"
)

// Config is where the list is kept and how it judges. FS and Name are required;
// zero fields stand for defaults.
type Config struct {
	FS   durable.FS
	Name string // of the file; its directory exists

	Window  time.Duration // in which it must have come again; default 2 days
	Life    time.Duration // since it was let in last; default 36 days
	Entries int           // default 100 000; the oldest make room

	Now func() time.Time // default time.Now
}

// saveEvery is how often the file is written, at most.
const saveEvery = time.Minute

// List is a greylist. It is safe for concurrent use.
type List struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	entries map[string]entry
	dirty   bool
	saved   time.Time

	saving sync.Mutex // held while the file is written
}

// entry is what is known of one key, in seconds since 1970.
type entry struct{ first, last int64 }

// Open reads the list. A file that cannot be understood is begun anew and is the
// error ErrDamaged, beside a List that works.
func Open(c Config) (*List, error) {
	set(&c.Window, 48*time.Hour)
	set(&c.Life, 36*24*time.Hour)
	if c.Entries <= 0 {
		c.Entries = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &List{cfg: c, entries: map[string]entry{}, saved: c.Now()}
	text, err := durable.ReadFile(c.FS, c.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("greylist: %w", err)
	}
	l.entries, err = parse(string(text), c.Entries)
	return l, err
}

func set(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// ErrDamaged is a file that is no greylist.
var ErrDamaged = errors.New("the greylist on disk is damaged; it begins anew")

const header = "gomaild-greylist 1\n"

const keySize = 16 // octets of the hash

// parse reads a file. What was read before a damage is kept.
func parse(text string, most int) (map[string]entry, error) {
	entries := map[string]entry{}
	rest, ok := strings.CutPrefix(text, header)
	if !ok {
		return entries, ErrDamaged
	}
	for line := range strings.Lines(rest) {
		f := strings.Fields(line)
		if len(f) != 3 || len(f[0]) != 2*keySize {
			return entries, ErrDamaged
		}
		first, err1 := strconv.ParseInt(f[1], 10, 64)
		last, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil || first < 0 || last < 0 {
			return entries, ErrDamaged
		}
		if len(entries) < most {
			entries[f[0]] = entry{first, last}
		}
	}
	return entries, nil
}

// Check asks about a recipient of a stranger, who is put off until delay has
// passed since it first came. wait is how long it must still be put off, 0 to
// let it in. The error is one of writing the file: the answer holds all the same.
func (l *List) Check(client netip.Addr, from mail.ReversePath, to mail.Address, delay time.Duration) (wait time.Duration, err error) {
	now := l.cfg.Now()
	wait = l.look(key(client, from, to), now, delay)
	return wait, l.saveIfDue(now)
}

// key names a client's network, a sender and a recipient.
func key(client netip.Addr, from mail.ReversePath, to mail.Address) string {
	sum := sha256.Sum256([]byte(peer.Network(client).String() + "\x00" + from.Address.Fold().String() + "\x00" + to.Fold().String()))
	return hex.EncodeToString(sum[:keySize])
}

func (l *List) look(key string, now time.Time, delay time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = true
	e, known := l.entries[key]
	if !known || l.isOver(e, now) {
		l.makeRoom(now)
		l.entries[key] = entry{first: now.Unix()}
		return delay
	}
	if wait := time.Unix(e.first, 0).Add(delay).Sub(now); e.last == 0 && wait > 0 {
		return min(wait, delay) // a clock that was set back makes nobody wait longer
	}
	e.last = now.Unix()
	l.entries[key] = e
	return 0
}

// isOver reports an entry that counts no more.
func (l *List) isOver(e entry, now time.Time) bool {
	if e.last == 0 {
		return now.Sub(time.Unix(e.first, 0)) > l.cfg.Window
	}
	return now.Sub(time.Unix(e.last, 0)) > l.cfg.Life
}

// makeRoom forgets what is over when the list is full, and if that is not
// enough the older half of those that were never let in, then of all.
func (l *List) makeRoom(now time.Time) {
	if len(l.entries) < l.cfg.Entries {
		return
	}
	maps.DeleteFunc(l.entries, func(_ string, e entry) bool { return l.isOver(e, now) })
	l.forgetHalf(func(e entry) bool { return e.last == 0 })
	l.forgetHalf(func(entry) bool { return true })
}

func (l *List) forgetHalf(of func(entry) bool) {
	if len(l.entries) < l.cfg.Entries {
		return
	}
	var times []int64
	for _, e := range l.entries {
		if of(e) {
			times = append(times, max(e.first, e.last))
		}
	}
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	middle := times[len(times)/2]
	maps.DeleteFunc(l.entries, func(_ string, e entry) bool { return of(e) && max(e.first, e.last) <= middle })
}

// saveIfDue writes the file when that was not done for a while; of several at
// once only one does.
func (l *List) saveIfDue(now time.Time) error {
	l.mu.Lock()
	due := l.dirty && now.Sub(l.saved) >= saveEvery
	l.mu.Unlock()
	if !due || !l.saving.TryLock() {
		return nil
	}
	defer l.saving.Unlock()
	return l.save(now)
}

// save writes what is known now. It is called with saving held.
func (l *List) save(now time.Time) error {
	l.mu.Lock()
	var b strings.Builder
	b.WriteString(header)
	for key, e := range l.entries {
		if !l.isOver(e, now) {
			fmt.Fprintf(&b, "%s %d %d\n", key, e.first, e.last)
		}
	}
	l.dirty, l.saved = false, now
	l.mu.Unlock()
	if err := durable.WriteFile(l.cfg.FS, l.cfg.Name, []byte(b.String()), 0o600); err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		return fmt.Errorf("greylist: %w", err)
	}
	return nil
}

// Close writes the file. The List is not used afterwards.
func (l *List) Close() error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	dirty := l.dirty
	l.mu.Unlock()
	if !dirty {
		return nil
	}
	return l.save(l.cfg.Now())
}
