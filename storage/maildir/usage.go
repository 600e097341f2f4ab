package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
)

// usage is what one account holds. The file maildirsize is the truth that other
// programs share; what it said last is remembered as long as it looks the same.
//
// Exactness among ourselves. Room is held back (room) before a message appears,
// so that two who ask at once cannot both have the last of it. Files appear and
// go only between enter and leave, and a count of the files runs only when
// nobody is there: it neither misses a message nor sees one twice. While
// messages move within the account, as much is held below zero.
//
// A power cut may take lines that were not synced, and a kill the one of a
// message that just came. So everything is counted once after the mail root was
// taken over, and whenever the file asks for it.
type usage struct {
	store *Store
	dir   string // of the account

	moving sync.RWMutex // held shared while files come and go, alone while they are counted

	mu      sync.Mutex
	owner   mail.Address
	limits  storage.Limits
	used    storage.Usage
	held    storage.Usage // for messages that are on their way in
	lines   int
	known   bool          // used is what the file with stamp seen says
	seen    stamp         // of the file
	counted time.Time     // when this process counted the files last
	told    storage.Usage // to those who watch
	telling bool          // somebody was told
}

const (
	// recountAfter is for how long a count is good where it says "over quota".
	recountAfter = 15 * time.Minute
	// compactFor is for how long a file that has grown too long is written anew
	// from its own sum instead of a count.
	compactFor = time.Hour
)

func (u *usage) setOwner(o storage.Owner) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.owner = o.Address
	u.limits = o.Limits
	u.limits.Max = storage.Usage{Bytes: max(o.Limits.Max.Bytes, 0), Messages: max(o.Limits.Max.Messages, 0)}
}

func (u *usage) isCounted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.limits.Counted
}

// quota is what GETQUOTA tells.
func (u *usage) quota() (storage.Quota, error) {
	if !u.isCounted() {
		return storage.Quota{}, nil
	}
	if err := u.load(); err != nil {
		return storage.Quota{}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return storage.Quota{Limits: u.limits, Used: u.used}, nil
}

// check is how strictly room is asked for.
type check int

const (
	exact     check = iota // not an octet above the limit
	graced                 // a delivery
	unchecked              // what comes goes somewhere else in the account
)

// room is held back for messages that are on their way in. nil is nothing.
type room struct {
	u       *usage
	add     storage.Usage
	freed   storage.Usage // by what goes for it
	share   func()        // gives back what is held of a limit in common
	inside  bool
	settled bool
}

// hold keeps room back, or says storage.ErrQuota. End it. Before a no that
// rests on an old count everything is counted.
func (u *usage) hold(ctx context.Context, add storage.Usage, c check) (*room, error) {
	return u.holdInstead(ctx, add, storage.Usage{}, c)
}

// holdInstead is hold where messages that take up freed go as soon as those that
// are added are there.
func (u *usage) holdInstead(ctx context.Context, add, freed storage.Usage, c check) (*room, error) {
	if !u.isCounted() {
		return nil, nil
	}
	share, err := u.holdShare(ctx, add.Minus(freed), c)
	if err != nil {
		return nil, err
	}
	r := &room{u: u, add: add, freed: freed, share: share}
	if err := r.hold(c); err != nil {
		share()
		return nil, err
	}
	return r, nil
}

func (r *room) hold(c check) error {
	if err := r.u.load(); err != nil {
		return err
	}
	ok, sure := r.tryHold(c)
	if !ok && !sure {
		if err := r.u.recount(); err != nil {
			return err
		}
		ok, _ = r.tryHold(c)
	}
	if !ok {
		return storage.ErrQuota
	}
	return nil
}

// holdShare asks whether those who share a limit with the account leave room, and
// keeps it back until it is given back.
func (u *usage) holdShare(ctx context.Context, add storage.Usage, c check) (giveBack func(), err error) {
	if c == unchecked {
		return func() {}, nil
	}
	u.mu.Lock()
	owner, limits := u.owner, u.limits
	u.mu.Unlock()
	return u.store.shared(ctx, owner, limits, add, c == graced)
}

func (r *room) tryHold(c check) (ok, sure bool) {
	u := r.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if c != unchecked && !u.limits.Allows(u.used.Plus(u.held), r.add.Minus(r.freed), c == graced) {
		age := u.store.now().Sub(time.Unix(0, u.seen.mtime))
		return false, u.lines <= 1 && age < recountAfter
	}
	u.held = u.held.Plus(r.add)
	return true, true
}

// enter is called right before the messages appear, with every lock held that
// is needed for it.
func (r *room) enter() {
	if r != nil {
		r.inside = true
		r.u.enter()
	}
}

// take says that the messages are there.
func (r *room) take() {
	if r != nil {
		r.settled = true
		r.u.settle(r.add, r.add)
	}
}

// end gives back what was not taken.
func (r *room) end() {
	if r == nil {
		return
	}
	if !r.settled {
		r.settled = true
		r.u.settle(storage.Usage{}, r.add)
	}
	if r.share != nil {
		r.share()
		r.share = nil
	}
	if r.inside {
		r.inside = false
		r.u.leave()
	}
}

// enter is called before files come or go, and leave afterwards. No lock may be
// waited for in between, and nobody enters twice.
func (u *usage) enter() { u.moving.RLock() }
func (u *usage) leave() { u.moving.RUnlock() }

// settle notes what came (or went, below 0) and gives held room back.
func (u *usage) settle(change, held storage.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held = u.held.Minus(held)
	if change != (storage.Usage{}) && u.limits.Counted {
		if err := u.record(change); err != nil {
			u.distrust(err)
		}
	}
}

// record appends a line. Where the file is not there, the next who asks counts.
func (u *usage) record(change storage.Usage) error {
	f, err := u.store.fs.OpenFile(u.path(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		u.known = false
		return ignoreMissing(err)
	}
	line := appendPair(nil, change)
	_, err = f.Write(line)
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return err
	}
	before := u.seen
	now := stampOf(info)
	u.known = u.known && now.ino == before.ino && now.size == before.size+int64(len(line))
	u.used, u.seen = u.used.Plus(change), now
	u.lines++
	if u.known {
		u.tell()
	}
	return nil
}

// distrust takes the file away, so that everything is counted before anybody
// relies on it. The messages themselves are safe whatever becomes of it.
func (u *usage) distrust(err error) {
	u.known = false
	u.store.log.Warn("usage cannot be written, will be counted again", "account", u.dir, "error", errors.Join(err, u.store.remove(u.path())))
}

// abandon takes away the file of an account in which nobody counts any more: who
// counts again later must not believe it.
func (u *usage) abandon() error { return u.store.remove(u.path()) }

// load makes used what the file says, or counts.
func (u *usage) load() error {
	ok, err := u.readFile()
	if ok || err != nil {
		return err
	}
	return u.recount()
}

// readFile is false if there is no file that can be believed.
func (u *usage) readFile() (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	info, err := u.store.fs.Stat(u.path())
	if err != nil {
		u.known = false
		return false, ignoreMissing(err)
	}
	now := stampOf(info)
	if u.known && now == u.seen {
		return now.size <= maxUsageFile || u.store.now().Sub(u.counted) < compactFor && u.write(u.used) == nil, nil
	}
	if u.store.locks.alone && u.counted.IsZero() {
		return false, nil // a power cut may have taken lines
	}
	if now.size > maxUsageFile {
		return false, nil
	}
	data, err := u.store.readFile(u.path())
	if err != nil {
		return false, err
	}
	said, err := parseUsage(data)
	if err != nil || said.limit != u.limits.Max {
		return false, nil //nolint:nilerr // damaged, or of other limits: counted again
	}
	u.used, u.lines = said.sum, said.lines
	u.known, u.seen = int64(len(data)) == now.size, now
	u.tell()
	return true, nil
}

// recount counts the files and writes a new maildirsize.
func (u *usage) recount() error {
	u.moving.Lock()
	defer u.moving.Unlock()
	total, err := u.store.countAccount(u.dir)
	if err != nil {
		return fmt.Errorf("count %s: %w", u.dir, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.counted = u.store.now()
	return u.write(total)
}

// write makes a new file of one pair.
func (u *usage) write(total storage.Usage) error {
	u.known = false
	data := appendPair(appendLimits(nil, u.limits.Max), total)
	if err := durable.WriteFile(u.store.fs, u.path(), data, fileMode); err != nil {
		return err
	}
	if err := u.store.own(u.path()); err != nil {
		return err
	}
	info, err := u.store.fs.Stat(u.path())
	if err != nil {
		return err
	}
	u.used, u.lines, u.known, u.seen = total, 1, true, stampOf(info)
	u.tell()
	return nil
}

// tell says what the account holds to those who watch, if it is news.
func (u *usage) tell() {
	if u.telling && u.told == u.used {
		return
	}
	if !u.telling {
		u.told = u.used
	}
	u.store.tell(storage.UsageChange{Owner: u.owner, Limits: u.limits, Before: u.told, Now: u.used})
	u.told, u.telling = u.used, true
}

func (u *usage) path() string { return u.dir + "/" + usageFile }

// Quota implements storage.Account.
func (h *accountHandle) Quota(ctx context.Context) (storage.Quota, error) {
	if err := errors.Join(h.alive(), ctx.Err()); err != nil {
		return storage.Quota{}, err
	}
	return h.usage.quota()
}

// Admits implements storage.Account.
func (h *accountHandle) Admits(ctx context.Context, size int64) error {
	if err := errors.Join(h.alive(), ctx.Err()); err != nil {
		return err
	}
	room, err := h.usage.hold(ctx, storage.Usage{Bytes: max(size, 1), Messages: 1}, graced)
	if err != nil {
		return fmt.Errorf("account %s: %w", h.dir, err)
	}
	room.end()
	return nil
}
