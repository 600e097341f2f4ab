package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"gomaild/storage"
)

// How the disk becomes a View.
//
// A look costs four stats as long as nothing changes. Otherwise the uidlist is
// read if it is another one, and cur/ and new/ are scanned. When every file has
// its line and lies in cur/, that is the new state, without any lock. Anything
// else (files without UID, files in new/, lines without file, duplicates,
// letters without a name, a damaged or old uidlist) is put right under the
// lock, after reading everything again.
//
// Two scans must miss a message before it counts as expunged: other programs
// rename files while we read the directory.
//
// On a full disk what has its UID is shown, and the rest waits: whoever may open
// the mailbox may delete from it, which makes room.

// ownTime is how long after a scan the stamps of our own changes count for what
// a scan would find.
const ownTime = 10 * time.Second

// onDisk is what is known of the disk.
type onDisk struct {
	loaded  bool
	seen    stamps
	settled bool   // seen can be trusted
	own     bool   // seen is of a change of our own, not of a scan
	ours    stamps // what our last change left
	short   bool   // there was no room on the disk to give everything its UID
	scanned time.Time
	list    *uidlist
	keys    keywords
	more    *moreKeywords // nil: not read yet
	modseq  storage.ModSeq
	indexed bool                // an index file may be there
	undated bool                // the next look gives every line the date at which its message was saved
	ignored map[string]struct{} // names in cur/ and new/ that are no messages
}

// reading is what one look found.
type reading struct {
	stamps
	*scan
	list     *uidlist // nil: missing or not to be read at all
	keys     keywords
	more     *moreKeywords
	lines    []found             // by position in list, nil: to be looked up in files
	added    []addition          // files without a line
	vanished bool                // messages of the present view are gone
	stale    int                 // lines without a file
	fresh    []storage.UID       // got their UID or left new/ just now
	ignored  map[string]struct{} // as onDisk.ignored
}

// addition is a file without a line.
type addition struct {
	base  string
	found found
	saved time.Time // zero: nobody asked
}

// refresh brings the state up to date. The gate is held.
func (m *mailbox) refresh(ctx context.Context) error {
	looked := time.Now()
	seen, err := m.stampsOrMend()
	if err != nil {
		return err
	}
	if m.disk.loaded && m.disk.settled && seen == m.disk.seen && !m.isOverdue(looked) {
		m.publish(m.current())
		return nil
	}
	if !m.disk.loaded && m.isCutOff() {
		lock, err := m.lock(ctx)
		if err != nil {
			return noMailbox(err)
		}
		return errors.Join(asFarAsRoom(m.settleLocked(ctx, lock)), lock.unlock())
	}
	r, err := m.read(seen)
	if err != nil {
		return err
	}
	if r.needsLock() {
		return m.settle(ctx, r, looked)
	}
	return m.adopt(r, looked)
}

// isOverdue reports that a look must scan although the stamps are those of the
// last one.
func (m *mailbox) isOverdue(looked time.Time) bool {
	return (m.disk.own || m.disk.short) && looked.Sub(m.disk.scanned) > ownTime
}

// stampsOrMend makes missing directories, as Dovecot does on opening, unless
// the whole mailbox is gone.
func (m *mailbox) stampsOrMend() (stamps, error) {
	seen, err := m.stamps()
	if !errors.Is(err, fs.ErrNotExist) {
		return seen, err
	}
	if err := m.mend(); err != nil {
		return seen, err
	}
	return m.stamps()
}

func (m *mailbox) mend() error {
	p := m.place()
	if p.folder != "." {
		if _, err := m.store.fs.Stat(p.dir); err != nil {
			return noMailbox(err)
		}
	}
	return m.store.makeMaildir(p.dir)
}

func noMailbox(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return storage.ErrNoMailbox
	}
	return err
}

// read looks at everything. When messages seem to be gone it looks twice.
func (m *mailbox) read(seen stamps) (*reading, error) {
	r := &reading{stamps: seen, list: m.disk.list, keys: m.disk.keys, ignored: m.disk.ignored}
	if !m.disk.loaded || seen.list != m.disk.seen.list {
		if err := m.readList(r); err != nil {
			return nil, err
		}
	}
	if !m.disk.loaded || seen.keys != m.disk.seen.keys {
		data, err := m.store.readFile(m.path(keywordsFile))
		if err != nil {
			return nil, err
		}
		r.keys = parseKeywords(data)
	}
	var err error
	if r.more, err = m.readMoreKeywords(m.disk.more); err != nil {
		return nil, err
	}
	if r.scan, err = m.scan(); err != nil {
		return nil, noMailbox(err)
	}
	r.compare(m.current(), r.list == m.disk.list)
	if !r.vanished && (m.disk.loaded || r.stale == 0) {
		return r, nil
	}
	first := r.scan
	if r.scan, err = m.scan(); err != nil {
		return nil, noMailbox(err)
	}
	r.merge(first)
	r.compare(m.current(), r.list == m.disk.list)
	return r, nil
}

func (m *mailbox) readList(r *reading) error {
	data, err := m.store.readFile(m.path(uidListFile))
	if err != nil {
		return err
	}
	r.list, err = parseUIDList(data) // nil with an error
	if err != nil && data != "" {
		m.store.log.Warn("uidlist cannot be read", "mailbox", m.place().dir, "error", err)
	}
	if err != nil && m.disk.loaded {
		// Somebody removed or spoilt the file: UIDs and UIDVALIDITY stay.
		list := *m.disk.list
		list.mustRewrite = true
		r.list = &list
		return nil
	}
	if err == nil && m.disk.loaded && r.list.validity == m.disk.list.validity && r.list.next < m.disk.list.next {
		r.list.next = m.disk.list.next // what we gave out stays given out
	}
	return nil
}

// compare finds the differences between the lines and the files. The list may be
// the one that the present state was made of.
func (r *reading) compare(present *state, sameList bool) {
	r.lines, r.added, r.stale, r.vanished = nil, nil, 0, false
	if r.list != nil {
		r.lines = make([]found, 0, len(r.list.entries))
		for _, e := range r.list.entries {
			f, there := r.files[e.base]
			if !there {
				r.stale++
			}
			r.lines = append(r.lines, f)
		}
	}
	if len(r.files) > len(r.lines)-r.stale {
		r.findAdded()
	}
	if present != nil && (r.stale > 0 || !sameList) {
		r.vanished = slices.ContainsFunc(present.files, func(f file) bool {
			_, there := r.files[f.base]
			return !there
		})
	}
}

// findAdded looks for files that have no line.
func (r *reading) findAdded() {
	known := map[string]struct{}{}
	if r.list != nil {
		for _, e := range r.list.entries {
			known[e.base] = struct{}{}
		}
	}
	r.added = make([]addition, 0, max(len(r.files)-len(known), 0))
	for base, f := range r.files {
		_, listed := known[base]
		_, ignored := r.ignored[base]
		if !listed && !ignored {
			r.added = append(r.added, addition{base: base, found: f})
		}
	}
}

// tooStale keeps dead lines from piling up.
func (r *reading) tooStale() bool {
	return r.list != nil && r.stale > max(64, len(r.list.entries)/4)
}

func (r *reading) needsLock() bool {
	if r.list == nil || r.list.mustRewrite || r.list.guid == "" || r.vanished || r.tooStale() || len(r.added) > 0 || len(r.twins) > 0 {
		return true
	}
	keys := r.keys
	if r.more.broken || keys.nameUnknown(r.usedLetters()) {
		return true
	}
	if !r.hasNew {
		return false
	}
	for base, f := range r.files {
		if _, ignored := r.ignored[base]; f.inNew && !ignored {
			return true
		}
	}
	return false
}

// settle puts right under the lock what needs it. What was read before counts if
// nothing can have changed since.
func (m *mailbox) settle(ctx context.Context, r *reading, looked time.Time) error {
	lock, err := m.lock(ctx)
	if err != nil {
		return noMailbox(err)
	}
	seen, err := m.stamps()
	if err == nil && seen == r.stamps && seen.settledAt(looked) {
		err = m.putRight(ctx, r, lock, looked)
	} else {
		err = m.settleLocked(ctx, lock)
	}
	return errors.Join(asFarAsRoom(err), lock.unlock())
}

func (m *mailbox) settleLocked(ctx context.Context, lock *dotlock) error {
	if !m.disk.loaded && m.isCutOff() {
		m.finishAppend(lock)
	}
	looked := time.Now()
	seen, err := m.stampsOrMend()
	if err != nil {
		return err
	}
	r, err := m.read(seen)
	if err != nil {
		return err
	}
	return m.putRight(ctx, r, lock, looked)
}

// putRight does what a reading needs.
func (m *mailbox) putRight(ctx context.Context, r *reading, lock *dotlock, looked time.Time) error {
	r.lines = nil // they change
	if err := m.separateTwins(r); err != nil {
		return err
	}
	if err := m.passOverOthers(r); err != nil {
		return err
	}
	if err := m.number(r); isFull(err) && r.list != nil {
		return m.makeDo(r, err, looked)
	} else if err != nil {
		return err
	}
	if err := m.moveNew(r, lock); err != nil {
		return err
	}
	if err := errors.Join(m.nameLetters(ctx, r), m.mendMoreKeywords(r)); err != nil {
		return err
	}
	return m.adopt(r, looked)
}

// isFull reports that something could not be written for want of room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// errNoRoom means that the present state lacks messages which could not be given
// their UIDs.
var errNoRoom = errors.New("not all messages have UIDs")

// makeDo adopts what has its UID of a reading that could not be numbered, and
// returns errNoRoom.
func (m *mailbox) makeDo(r *reading, fault error, looked time.Time) error {
	if !m.disk.short {
		m.store.log.Error("disk full, new messages get no UIDs and are not shown yet", "mailbox", m.place().dir, "messages", len(r.added), "error", fault)
	}
	var err error
	if r.stamps.list, err = m.stampIfThere(uidListFile); err != nil { // it was written to and cut off
		return err
	}
	if err := m.adopt(r, looked); err != nil {
		return err
	}
	m.disk.short = true
	return fmt.Errorf("%w: %w", errNoRoom, fault)
}

// asFarAsRoom is err for an operation that needs no more than the messages that
// have their UIDs.
func asFarAsRoom(err error) error {
	if errors.Is(err, errNoRoom) {
		return nil
	}
	return err
}

// separateTwins gives the second of two files with one base name another name,
// so that it becomes a message of its own, as Dovecot does. Two names of one
// file (a rename cut short by a crash) become one.
func (m *mailbox) separateTwins(r *reading) error {
	for _, t := range r.twins {
		first := r.files[t.base]
		a, err := m.lstatIfThere(first.path(t.base))
		if err != nil {
			return err
		}
		b, err := m.lstatIfThere(t.path(t.base))
		switch {
		case err != nil:
			return err
		case b == nil:
			continue
		case a == nil:
			r.files[t.base] = t.found
			continue
		case stampOf(a).ino == stampOf(b).ino:
			if err := m.store.remove(m.path(t.path(t.base))); err != nil {
				return err
			}
			continue
		case m.mayBeJournaled(a) || m.mayBeJournaled(b):
			continue // for somebody else, or later
		}
		base := m.store.names.next() + tailOf(t.base)
		m.store.log.Warn("two messages have one name", "mailbox", m.place().dir, "name", t.base, "renamed", base)
		if err := m.renameMessage(t.path(t.base), t.path(base)); err != nil {
			return err
		}
		r.files[base] = t.found
		r.added = append(r.added, addition{base: base, found: t.found})
	}
	return nil
}

// renameMessage gives a message another base name. A record of it in the journal
// would bring it back under the old one, so none may live.
func (m *mailbox) renameMessage(from, to string) error {
	release, err := m.store.journal.Quiesce(m.place().dir)
	if err != nil {
		return err
	}
	defer release()
	return m.store.fs.Rename(m.path(from), m.path(to))
}

// journalLives is after how long no record of a message is left in the journal
// of a daemon beside us, which makes a checkpoint about once a second.
const journalLives = time.Minute

// mayBeJournaled reports whether another process may have a message in its
// journal: that one must not be renamed by us.
func (m *mailbox) mayBeJournaled(info fs.FileInfo) bool {
	return m.store.beside && m.store.now().Sub(changeTime(info)) < journalLives
}

func (m *mailbox) lstatIfThere(name string) (fs.FileInfo, error) {
	info, err := m.store.fs.Lstat(m.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// passOverOthers takes from the added names what is no file: directories (an
// empty one is removed, as Dovecot does) and files that went away again.
func (m *mailbox) passOverOthers(r *reading) error {
	kept := r.added[:0]
	for _, one := range r.added {
		base := one.base
		if len(r.twins) > 0 {
			one.found = r.files[base] // another of them may be the one that is left
		}
		if r.list == nil && one.found.isFile && !one.found.inNew {
			kept = append(kept, one) // keepDates asks for the date, should that ever be needed
			continue
		}
		name := m.path(one.found.path(base))
		info, err := m.store.fs.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			one.saved = changeTime(info)
			kept = append(kept, one)
			continue
		}
		delete(r.files, base)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && info.IsDir() && m.store.fs.Remove(name) == nil:
			continue
		}
		r.ignored = withName(r.ignored, base)
		m.store.log.Warn("not a message", "mailbox", m.place().dir, "name", name)
	}
	r.added = kept
	return nil
}

func withName(set map[string]struct{}, name string) map[string]struct{} {
	grown := map[string]struct{}{name: {}}
	for n := range set {
		grown[n] = struct{}{}
	}
	return grown
}

// moveNew moves what has its UID from new/ to cur/. It need not be durable: a
// message is the same in either.
func (m *mailbox) moveNew(r *reading, lock *dotlock) error {
	if !r.hasNew {
		return nil
	}
	r.lines = nil
	for _, e := range r.list.entries {
		f, ok := r.files[e.base]
		if !ok || !f.inNew {
			continue
		}
		if err := lock.refresh(); err != nil {
			return err
		}
		text := f.suffix.text
		if text == "" {
			text = flagMark
		}
		err := m.store.fs.Rename(m.path(f.path(e.base)), m.path(path.Join("cur", e.base+text)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // others were faster; the next look finds it
		}
		if err != nil {
			return err
		}
		r.files[e.base] = found{suffix: r.suffix(text)}
		r.fresh = append(r.fresh, e.uid)
	}
	return nil
}

// nameLetters writes names for letters that have none.
func (m *mailbox) nameLetters(ctx context.Context, r *reading) error {
	keys := r.keys
	if !keys.nameUnknown(r.usedLetters()) {
		return nil
	}
	m.store.log.Warn("keyword letters without a name", "mailbox", m.place().dir)
	return m.editKeywords(ctx, &r.keys, func(k *keywords) (bool, error) {
		return k.nameUnknown(r.usedLetters()), nil
	})
}

// mendMoreKeywords writes gomaild.keywords anew without what makes no sense.
func (m *mailbox) mendMoreKeywords(r *reading) error {
	if !r.more.broken {
		return nil
	}
	m.store.log.Warn("keywords could not all be read", "mailbox", m.place().dir, "file", moreKeywordsFile)
	m.disk.more = r.more
	return m.writeMoreKeywords(nil, 0, nil)
}

// editKeywords changes dovecot-keywords and leaves what it holds then in keys.
func (m *mailbox) editKeywords(ctx context.Context, keys *keywords, change func(*keywords) (bool, error)) error {
	return m.store.edit(ctx, m.path(keywordsFile), func(old string) ([]byte, error) {
		k := parseKeywords(old)
		changed, err := change(&k)
		if err != nil {
			return nil, err
		}
		*keys = k
		if !changed {
			return nil, nil
		}
		return k.format(), nil
	})
}

// tailOf is the part of a base name that tells the sizes.
func tailOf(base string) string {
	s := nameSizes(base)
	if !s.known() {
		return ""
	}
	return s.tail()
}
