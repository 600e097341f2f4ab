package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"gomaild/storage"
)

// errOtherStore is a mistake of the caller: the mailboxes are of two stores.
var errOtherStore = errors.New("target mailbox is of another store")

// Copy implements storage.Mailbox. A copy is a second link of the file. After a
// power cut some of the copies may be there, before an error none is.
func (h *handle) Copy(ctx context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	target, ok := to.(*handle)
	if !ok || target.store != h.store {
		return nil, h.wrap("copy from", errOtherStore)
	}
	copied, err := h.copy(ctx, uids, target, exact)
	if err != nil {
		return nil, h.wrap("copy from", err)
	}
	return copied, nil
}

// Move implements storage.Mailbox. The originals are removed when the copies
// have their UIDs on disk; if that fails both are there.
func (h *handle) Move(ctx context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	if target, ok := to.(*handle); ok && target.account == h.account {
		return h.moveWithin(ctx, uids, target)
	}
	copied, err := h.Copy(ctx, uids, to)
	if err != nil {
		return nil, err
	}
	if err := h.Expunge(ctx, uids); err != nil {
		return nil, err
	}
	return copied, nil
}

// moveWithin moves messages within the account, which holds no more for it at
// any time.
func (h *handle) moveWithin(ctx context.Context, uids []storage.UID, to *handle) ([]storage.UID, error) {
	if _, err := h.View(ctx); err != nil {
		return nil, err
	}
	twice, err := h.usageOf(h.current(), uids)
	if err != nil {
		return nil, h.wrap("move from", err)
	}
	room, err := h.account.usage.hold(ctx, storage.Usage{}.Minus(twice), unchecked)
	if err != nil {
		return nil, h.wrap("move from", err)
	}
	defer room.end()
	copied, err := h.copy(ctx, uids, to, unchecked)
	if err != nil {
		return nil, h.wrap("move from", err)
	}
	if err := h.Expunge(ctx, uids); err != nil {
		return nil, err
	}
	return copied, nil
}

func (h *handle) copy(ctx context.Context, uids []storage.UID, to *handle, check check) ([]storage.UID, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	if _, err := h.View(ctx); err != nil { // outside of to's gate, which may be ours
		return nil, err
	}
	if err := h.keepDates(ctx, uids); err != nil {
		return nil, err
	}
	c := copying{from: h, to: to, source: h.current()}
	add, err := h.usageOf(c.source, uids)
	if err != nil {
		return nil, err
	}
	if c.room, err = to.account.usage.hold(ctx, add, check); err != nil {
		return nil, err
	}
	defer c.room.end()
	if err := to.enter(ctx); err != nil {
		return nil, err
	}
	defer to.leave()
	lock, err := to.lockOrMend(ctx)
	if err != nil {
		return nil, err
	}
	copied, err := c.run(ctx, lock, uids)
	if err != nil {
		err = errors.Join(err, c.undo())
	}
	return copied, errors.Join(err, lock.unlock())
}

// copying is one COPY. Only the target's gate and lock are held, so that two
// of them in opposite directions cannot wait for each other.
type copying struct {
	from, to *handle
	source   *state
	room     *room
	words    map[int]storage.KeywordSet    // of the target for positions of the source
	more     map[string]storage.KeywordSet // of the copies, for gomaild.keywords
	taken    map[string]struct{}           // base names in the target
	guids    map[string]string             // fields of the copies' lines, by base name
	bases    []string
	made     []string // files
}

func (c *copying) run(ctx context.Context, lock *dotlock, uids []storage.UID) ([]storage.UID, error) {
	if err := c.to.settleLocked(ctx, lock); err != nil {
		return nil, err
	}
	if err := c.mapKeywords(ctx, uids); err != nil {
		return nil, err
	}
	c.guids = map[string]string{}
	c.taken = make(map[string]struct{}, len(c.to.disk.list.entries))
	for _, e := range c.to.disk.list.entries {
		c.taken[e.base] = struct{}{} // also of messages that are gone: a line means a UID
	}
	c.room.enter()
	for _, uid := range uids {
		i, there := c.source.find(uid)
		if !there {
			return nil, storage.ErrExpunged
		}
		if err := errors.Join(lock.refresh(), c.one(i)); err != nil {
			return nil, err
		}
	}
	if err := c.to.keepMoreKeywords(c.more); err != nil {
		return nil, err
	}
	if err := c.sync(); err != nil {
		return nil, err
	}
	copied, err := c.to.addToList(c.bases, c.guids)
	if err == nil {
		c.room.take()
		c.to.poke()
		c.carryDigests(uids, copied)
	}
	return copied, err
}

// carryDigests spares the target's clients the parsing.
func (c *copying) carryDigests(uids, copied []storage.UID) {
	source, target := &reader{h: c.from}, &reader{h: c.to}
	for n, uid := range uids {
		target.carry(source, uid, copied[n], c.bases[n])
	}
	_ = errors.Join(source.Close(), target.Close()) // they have none
}

// mapKeywords finds or makes the keywords in the target. A keyword for which
// there is no room is left behind.
func (c *copying) mapKeywords(ctx context.Context, uids []storage.UID) error {
	var used storage.KeywordSet
	for _, uid := range uids {
		if i, there := c.source.find(uid); there {
			used = used.Union(c.source.view.Messages[i].Keywords)
		}
	}
	c.words, c.more = map[int]storage.KeywordSet{}, map[string]storage.KeywordSet{}
	for i, name := range c.source.view.Keywords {
		if !used.Has(i) || name == "" {
			continue
		}
		set, err := c.to.defineKeywords(ctx, []string{name})
		if err != nil && !errors.Is(err, storage.ErrKeywordLimit) {
			return err
		}
		c.words[i] = set
	}
	return nil
}

// one copies one message to cur/ of the target.
func (c *copying) one(i int) error {
	f := c.source.files[i]
	base := f.base
	if _, there := c.taken[base]; there {
		base = c.to.store.names.next() + tailOf(base)
	}
	flags := parseSuffix(f.suffix)
	words := c.translate(c.source.view.Messages[i].Keywords)
	flags.keywords = lettersOf(words)
	if more := moreOf(words); more != c.to.disk.more.of(base) {
		c.more[base] = more // "" too: the message may have been here before
	}
	name := c.to.path(path.Join("cur", base+flags.suffix()))
	err := c.link(f, name)
	if err != nil {
		return err
	}
	c.taken[base] = struct{}{}
	if ext := f.guidExt(base); ext != "" {
		c.guids[base] = ext
	}
	c.bases = append(c.bases, base)
	c.made = append(c.made, name)
	return nil
}

func (c *copying) translate(set storage.KeywordSet) storage.KeywordSet {
	var words storage.KeywordSet
	for i := range set.All() {
		words = words.Union(c.words[i])
	}
	return words
}

// link makes the copy; a source that was renamed meanwhile is looked for.
func (c *copying) link(f file, name string) error {
	source := f.path()
	for range lookAgain {
		err := c.settle(f.base, c.from.path(source))
		if err == nil {
			err = c.to.store.linkOrCopy(c.from.path(source), name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if source, err = c.from.whereIs(f.base); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: renamed again and again", f.base)
}

// whereIs looks for a message file by its base name.
func (m *mailbox) whereIs(base string) (string, error) {
	for _, dir := range []string{"cur", "new"} {
		names, err := m.store.fs.ReadDirNames(m.path(dir))
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if b, _ := splitName(name); b == base {
				return path.Join(dir, name), nil
			}
		}
	}
	return "", storage.ErrExpunged
}

// settle makes the content of a message durable that lies in the journal so
// far: the copy has no record there, and no name may stand for half of it.
func (c *copying) settle(base, source string) error {
	if !c.from.store.journal.Lives(c.from.place().dir, base) {
		return nil
	}
	return c.from.store.syncFile(source)
}

func (s *Store) linkOrCopy(source, name string) error {
	err := s.fs.Link(source, name)
	for _, cannot := range []error{syscall.EXDEV, syscall.EMLINK, syscall.EPERM} {
		if errors.Is(err, cannot) {
			return s.copyFile(source, name)
		}
	}
	return err
}

// copyFile copies where no link can be: octets and date.
func (s *Store) copyFile(source, name string) error {
	in, err := s.fs.OpenFile(source, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err != nil {
		return errors.Join(err, in.Close())
	}
	temp := path.Join(path.Dir(path.Dir(name)), "tmp", s.names.next())
	err = errors.Join(s.writeCopy(in, temp, info.ModTime()), in.Close())
	if err == nil {
		err = s.fs.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, s.remove(temp))
	}
	return nil
}

func (s *Store) writeCopy(in io.Reader, temp string, date time.Time) error {
	out, err := s.fs.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = errors.Join(s.fs.Chtimes(temp, date, date), s.own(temp), out.Sync())
	}
	return errors.Join(err, out.Close())
}

// shareSync is from how many copies on one pass over the disk is better than
// a sync for each: other programs may have written the files and not synced.
const shareSync = 8

// sync makes the copies durable, content and names.
func (c *copying) sync() error {
	if len(c.made) >= shareSync {
		return c.to.store.fs.Barrier()
	}
	for _, name := range c.made {
		if err := c.to.store.syncFile(name); err != nil {
			return err
		}
	}
	return c.to.store.fs.SyncDir(c.to.path("cur"))
}

func (s *Store) syncFile(name string) error {
	f, err := s.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// undo removes what was copied before something went wrong.
func (c *copying) undo() error {
	var errs []error
	for _, name := range c.made {
		errs = append(errs, c.to.store.remove(name))
	}
	c.to.disk.settled = false
	return errors.Join(errs...)
}
