package maildir

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// SetFlags implements storage.Mailbox.
func (h *handle) SetFlags(ctx context.Context, uids []storage.UID, e storage.FlagEdit, unchangedSince storage.ModSeq) ([]storage.UID, error) {
	var conflicts []storage.UID
	err := h.change(ctx, func(lock *dotlock) error {
		edit, err := h.newFlagEdit(ctx, e)
		if err != nil {
			return err
		}
		if err := h.mailbox.keepDates(ctx, lock, uids); err != nil {
			return err
		}
		conflicts, err = h.setFlags(ctx, lock, uids, edit, unchangedSince)
		return err
	})
	if err != nil {
		return nil, h.wrap("set flags in", err)
	}
	return conflicts, nil
}

// change does something to the messages that are there, behind the gate and
// under the lock.
func (h *handle) change(ctx context.Context, do func(*dotlock) error) error {
	if err := h.enter(ctx); err != nil {
		return err
	}
	defer h.leave()
	lock, err := h.lock(ctx)
	if err != nil {
		return noMailbox(err)
	}
	current := h.isCurrent()
	if !h.disk.loaded || h.isBehind() {
		err = asFarAsRoom(h.settleLocked(ctx, lock))
	}
	if err == nil {
		err = h.discardIndex()
	}
	if err == nil {
		err = do(lock)
	}
	if err == nil && current {
		h.stayCurrent()
	}
	return errors.Join(err, lock.unlock())
}

// isCurrent reports whether the present state is what is on disk, as far as the
// stamps tell. The gate is held.
func (m *mailbox) isCurrent() bool {
	if !m.disk.loaded || !m.disk.settled || m.isBehind() {
		return false
	}
	seen, err := m.stamps()
	return err == nil && seen == m.disk.seen
}

// stayCurrent takes over the stamps that our own change of a current mailbox left
// behind, so that the next look need not read the directories to find what we did
// ourselves. What another program did to cur/ in the same moment is found after
// ownTime at the latest; what was delivered to new/, at once.
func (m *mailbox) stayCurrent() {
	if seen, err := m.stamps(); err == nil && seen.new == m.disk.seen.new && !m.isBehind() {
		m.disk.seen, m.disk.settled, m.disk.own, m.disk.ours = seen, true, true, seen
	}
}

// flagEdit is a storage.FlagEdit with the set of its keywords.
type flagEdit struct {
	storage.FlagEdit
	keywords storage.KeywordSet
}

func (m *mailbox) newFlagEdit(ctx context.Context, e storage.FlagEdit) (flagEdit, error) {
	edit := flagEdit{FlagEdit: e}
	if e.Op == storage.RemoveFlags {
		edit.keywords = m.disk.vocabulary().find(e.Keywords)
		return edit, nil
	}
	var err error
	edit.keywords, err = m.defineKeywords(ctx, e.Keywords)
	return edit, err
}

// together is how many files are renamed or removed with one call: in between
// the lock is touched, and the file system may say that it is not ours any more.
const together = 64

// setFlags renames the files. Where one has another name by now everything is
// read again: somebody else changed its flags.
func (m *mailbox) setFlags(ctx context.Context, lock *dotlock, uids []storage.UID, e flagEdit, since storage.ModSeq) (conflicts []storage.UID, err error) {
	uids = slices.Compact(slices.Sorted(slices.Values(uids)))
	for tries := 0; ; tries++ {
		run := flagRun{m: m, edit: e, since: since, edition: m.edit()}
		uids, err = run.all(lock, uids)
		conflicts = append(conflicts, run.conflicts...)
		if failed := m.finish(run.edition); failed != nil {
			return nil, errors.Join(err, failed)
		}
		if err == nil {
			return conflicts, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || tries == lookAgain {
			return nil, err
		}
		if err := asFarAsRoom(m.settleLocked(ctx, lock)); err != nil {
			return nil, err
		}
	}
}

// flagRun changes flags as long as files have the names that are known of them.
type flagRun struct {
	*edition
	m         *mailbox
	edit      flagEdit
	since     storage.ModSeq
	conflicts []storage.UID

	// of the next call
	names []durable.NewName
	next  []flagChange
}

// all returns with an error the messages that are not done.
func (r *flagRun) all(lock *dotlock, uids []storage.UID) (left []storage.UID, err error) {
	for len(uids) > 0 {
		if err := lock.refresh(); err != nil {
			return uids, err
		}
		done, err := r.some(uids[:min(together, len(uids))])
		uids = uids[done:]
		if err != nil {
			return uids, err
		}
	}
	return nil, nil
}

// some changes the flags of the first of uids, and returns of how many.
func (r *flagRun) some(uids []storage.UID) (done int, err error) {
	conflicts := len(r.conflicts)
	done = r.collect(uids)
	if done == 0 {
		if err := r.leaveNew(uids[0]); err != nil {
			return 0, err
		}
		return 1, nil
	}
	renamed := 0
	if len(r.names) > 0 {
		renamed, err = r.m.store.fs.RenameIn(r.m.path("cur"), r.names)
	}
	for _, c := range r.next {
		if c.renamed {
			renamed--
		}
		if renamed >= 0 {
			r.set(c)
			continue
		}
		failed := r.view.Messages[c.at].UID
		for len(r.conflicts) > conflicts && r.conflicts[len(r.conflicts)-1] > failed {
			r.conflicts = r.conflicts[:len(r.conflicts)-1] // it is asked again
		}
		return slices.Index(uids, failed), err
	}
	return done, err
}

// collect finds out what is to be done for the first of uids, and returns of how
// many: up to one whose file is in new/.
func (r *flagRun) collect(uids []storage.UID) int {
	r.names, r.next = r.names[:0], r.next[:0]
	for n, uid := range uids {
		i, there := r.find(uid)
		if !there {
			continue
		}
		if r.since != 0 && r.view.Messages[i].ModSeq > r.since {
			r.conflicts = append(r.conflicts, uid)
			continue
		}
		c, changed := r.change(i)
		if !changed {
			continue
		}
		f := r.files[i]
		if c.renamed && f.inNew {
			return n
		}
		if c.renamed {
			r.names = append(r.names, durable.NewName{Old: f.base + f.suffix, New: f.base + c.name.suffix()})
		}
		r.next = append(r.next, c)
	}
	return len(uids)
}

// leaveNew moves the file of a message to cur/ with its flags.
func (r *flagRun) leaveNew(uid storage.UID) error {
	i, _ := r.find(uid)
	c, _ := r.change(i)
	f := r.files[i]
	now := file{base: f.base, suffix: c.name.suffix()}
	if err := r.m.store.fs.Rename(r.m.path(f.path()), r.m.path(now.path())); err != nil {
		return err
	}
	r.set(c)
	return nil
}

// edition is a copy of the state that is being changed.
type edition struct {
	state
	changed  bool
	lettered map[int]int                   // of the vocabulary
	more     map[string]storage.KeywordSet // to be written to gomaild.keywords
}

func (m *mailbox) edit() *edition {
	s := m.current()
	view := *s.view
	view.Messages = slices.Clone(view.Messages)
	view.HighestModSeq = m.disk.modseq + 1
	words := m.disk.vocabulary()
	view.Keywords = words.names()
	view.MoreKeywords = words.hasRoom()
	return &edition{
		state:    state{&view, slices.Clone(s.files)},
		lettered: words.lettered(),
		more:     map[string]storage.KeywordSet{},
	}
}

// flagChange is what becomes of a message.
type flagChange struct {
	at      int // position in the state
	renamed bool
	name    fileFlags
	system  storage.SystemFlag
	words   storage.KeywordSet
}

// change is what the edit makes of a message, if anything.
func (r *flagRun) change(i int) (c flagChange, changed bool) {
	f := &r.files[i]
	letters := parseSuffix(f.suffix)
	old := r.m.disk.vocabulary().wordsOf(f.base, letters.keywords, r.lettered)
	system, words := r.edit.Apply(letters.system, old, r.edit.keywords)
	name := fileFlags{system, lettersOf(words), letters.other}
	return flagChange{i, name != letters, name, system, words}, system != letters.system || words != old
}

// set notes a change that was made.
func (r *flagRun) set(c flagChange) {
	f := &r.files[c.at]
	if c.renamed {
		f.suffix, f.inNew = c.name.suffix(), false
	}
	if more := moreOf(c.words); more != r.m.disk.more.of(f.base) {
		r.more[f.base] = more
	}
	msg := &r.view.Messages[c.at]
	msg.Flags, msg.Keywords, msg.ModSeq = c.system, c.words, r.view.HighestModSeq
	r.changed = true
}

// finish publishes what was changed. If not all of it could be written nothing is
// published: the next look finds what there is.
func (m *mailbox) finish(e *edition) error {
	if !e.changed {
		return nil
	}
	if err := m.keepMoreKeywords(e.more); err != nil {
		m.disk.settled = false
		return err
	}
	m.disk.modseq = e.view.HighestModSeq
	m.disk.settled = false
	m.publish(&state{e.view, e.files})
	return nil
}

// Expunge implements storage.Mailbox. The lines stay in the uidlist for a
// while: as long as they are there, and by N afterwards, their UIDs are used.
func (h *handle) Expunge(ctx context.Context, uids []storage.UID) error {
	err := h.change(ctx, func(lock *dotlock) error { return h.expunge(ctx, lock, uids) })
	return h.wrap("expunge in", err)
}

func (m *mailbox) expunge(ctx context.Context, lock *dotlock, uids []storage.UID) error {
	uids = slices.Compact(slices.Sorted(slices.Values(uids)))
	gone := map[storage.UID]bool{}
	for tries := 0; ; tries++ {
		err := m.unlink(lock, uids, gone)
		if err == nil {
			break
		}
		m.disk.settled = false
		if !errors.Is(err, fs.ErrNotExist) || tries == lookAgain {
			return err
		}
		if err := asFarAsRoom(m.settleLocked(ctx, lock)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"cur", "new"} { // a name may have left new/ a moment ago, not durably
		if err := m.store.fs.SyncDir(m.path(dir)); err != nil {
			return err
		}
	}
	m.dropMessages(gone)
	return nil
}

// unlink removes the files that the present state knows of.
func (m *mailbox) unlink(lock *dotlock, uids []storage.UID, gone map[storage.UID]bool) error {
	s := m.current()
	if err := m.store.journal.Forget(m.place().dir, basesOf(s, uids)...); err != nil {
		return err
	}
	var went storage.Usage
	m.account.usage.enter()
	defer func() {
		m.account.usage.settle(storage.Usage{}.Minus(went), storage.Usage{})
		m.account.usage.leave()
	}()
	for some := range slices.Chunk(uids, together) {
		if err := lock.refresh(); err != nil {
			return err
		}
		for _, inNew := range []bool{false, true} {
			sum, err := m.unlinkIn(s, inNew, some, gone)
			went = went.Plus(sum)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// unlinkIn removes those of the files that are in cur/, or in new/, and returns
// what they took up.
func (m *mailbox) unlinkIn(s *state, inNew bool, uids []storage.UID, gone map[storage.UID]bool) (storage.Usage, error) {
	var went storage.Usage
	var names []string
	var theirs []storage.UID
	var sizes []int64
	for _, uid := range uids {
		i, there := s.find(uid)
		if !there || gone[uid] || s.files[i].inNew != inNew {
			continue
		}
		size, err := m.fileSize(s.files[i])
		if err != nil {
			return went, err
		}
		names, theirs, sizes = append(names, s.files[i].base+s.files[i].suffix), append(theirs, uid), append(sizes, size)
	}
	if len(names) == 0 {
		return went, nil
	}
	done, err := m.store.fs.RemoveIn(m.path(subOf(inNew)), names)
	for n, uid := range theirs[:done] {
		gone[uid] = true
		went = went.Plus(storage.Usage{Bytes: sizes[n], Messages: 1})
	}
	return went, err
}

// basesOf are the base names of messages.
func basesOf(s *state, uids []storage.UID) []string {
	bases := make([]string, 0, len(uids))
	for _, uid := range uids {
		if i, there := s.find(uid); there {
			bases = append(bases, s.files[i].base)
		}
	}
	return bases
}

// dropMessages publishes the state without messages that are durably gone.
func (m *mailbox) dropMessages(gone map[storage.UID]bool) {
	s := m.current()
	view := *s.view
	view.Messages = make([]storage.Message, 0, len(s.files))
	files := make([]file, 0, len(s.files))
	for i, msg := range s.view.Messages {
		if !gone[msg.UID] {
			view.Messages = append(view.Messages, msg)
			files = append(files, s.files[i])
		}
	}
	m.disk.settled = false
	if len(files) == len(s.files) {
		return
	}
	m.disk.modseq++
	view.HighestModSeq = m.disk.modseq
	m.mu.Lock()
	for uid := range gone {
		delete(m.measured, uid)
	}
	m.recent = slices.DeleteFunc(m.recent, func(uid storage.UID) bool { return gone[uid] })
	m.mu.Unlock()
	next := &state{&view, files}
	m.follow(s, next)
	m.publish(next)
}
