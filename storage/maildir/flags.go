package maildir

import (
	"context"
	"errors"
	"io/fs"
	"slices"

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
		err = h.settleLocked(ctx, lock)
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
// ourselves. What another program did in the same moment is found after ownTime
// at the latest.
func (m *mailbox) stayCurrent() {
	if seen, err := m.stamps(); err == nil && !m.isBehind() {
		m.disk.seen, m.disk.settled, m.disk.own = seen, true, true
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

// setFlags renames the files. Where one has another name by now everything is
// read again: somebody else changed its flags.
func (m *mailbox) setFlags(ctx context.Context, lock *dotlock, uids []storage.UID, e flagEdit, since storage.ModSeq) (conflicts []storage.UID, err error) {
	uids = slices.Compact(slices.Sorted(slices.Values(uids)))
	edited := m.edit()
	tries := 0
	for n := 0; n < len(uids); {
		i, there := edited.find(uids[n])
		switch {
		case !there:
			n++
			continue
		case since != 0 && edited.view.Messages[i].ModSeq > since && !edited.touched[uids[n]]:
			conflicts = append(conflicts, uids[n])
			n++
			continue
		}
		err := errors.Join(lock.refresh(), m.setFlagsOf(edited, i, e))
		if errors.Is(err, fs.ErrNotExist) && tries < lookAgain {
			tries++
			if err := m.finish(edited); err != nil {
				return nil, err
			}
			if err := m.settleLocked(ctx, lock); err != nil {
				return nil, err
			}
			edited = m.edit()
			continue
		}
		if err != nil {
			return nil, errors.Join(err, m.finish(edited))
		}
		n++
	}
	return conflicts, m.finish(edited)
}

// edition is a copy of the state that is being changed.
type edition struct {
	state
	touched  map[storage.UID]bool
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
		touched:  map[storage.UID]bool{},
		lettered: words.lettered(),
		more:     map[string]storage.KeywordSet{},
	}
}

// setFlagsOf renames one file.
func (m *mailbox) setFlagsOf(e *edition, i int, edit flagEdit) error {
	f := &e.files[i]
	letters := parseSuffix(f.suffix)
	old := m.disk.vocabulary().wordsOf(f.base, letters.keywords, e.lettered)
	system, words := edit.Apply(letters.system, old, edit.keywords)
	if system == letters.system && words == old {
		return nil
	}
	flags := fileFlags{system, lettersOf(words), letters.other}
	if flags != letters {
		now := file{base: f.base, suffix: flags.suffix(), ext: f.ext}
		if err := m.store.fs.Rename(m.path(f.path()), m.path(now.path())); err != nil {
			return err
		}
		*f = now
	}
	if more := moreOf(words); more != m.disk.more.of(f.base) {
		e.more[f.base] = more
	}
	msg := &e.view.Messages[i]
	msg.Flags, msg.Keywords, msg.ModSeq = system, words, e.view.HighestModSeq
	e.touched[msg.UID] = true
	return nil
}

// finish publishes what was changed. If not all of it could be written nothing is
// published: the next look finds what there is.
func (m *mailbox) finish(e *edition) error {
	if len(e.touched) == 0 {
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
		if err := m.settleLocked(ctx, lock); err != nil {
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
	for _, uid := range uids {
		i, there := s.find(uid)
		if !there || gone[uid] {
			continue
		}
		size, err := m.fileSize(s.files[i])
		if err := errors.Join(err, lock.refresh(), m.store.fs.Remove(m.path(s.files[i].path()))); err != nil {
			return err
		}
		gone[uid] = true
		went = went.Plus(storage.Usage{Bytes: size, Messages: 1})
	}
	return nil
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
		delete(m.recent, uid)
	}
	m.mu.Unlock()
	next := &state{&view, files}
	m.follow(s, next)
	m.publish(next)
}
