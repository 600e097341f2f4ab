package maildir

import (
	"context"
	"errors"

	"gomaild/storage"
)

// Append implements storage.Mailbox. The content is read before the gate, so that
// a slow client holds up nobody. Where there is a journal it makes content and
// name durable, else both are synced by themselves.
func (h *handle) Append(ctx context.Context, d storage.Draft) (storage.UID, error) {
	if h.closed.Load() {
		return 0, ErrClosed
	}
	uid, err := h.append(ctx, d)
	if err != nil {
		return 0, h.wrap("append to", err)
	}
	return uid, nil
}

func (m *mailbox) append(ctx context.Context, d storage.Draft) (storage.UID, error) {
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	keep := m.store.newKeeper()
	defer m.store.releaseKeeper(keep)
	write := m.writeTemp
	if keep != nil {
		write = func(d storage.Draft) (temp, error) { return m.writeTempFor(keep, d) }
	}
	t, err := write(d)
	if err != nil {
		return 0, err
	}
	uid, err := m.appendTemp(ctx, t, d)
	if err = errors.Join(err, t.drop(m.store, err == nil)); err != nil {
		return 0, err
	}
	return uid, nil
}

func (m *mailbox) appendTemp(ctx context.Context, t temp, d storage.Draft) (storage.UID, error) {
	freed, err := m.freed(ctx, d.Instead)
	if err != nil {
		return 0, err
	}
	room, err := m.account.usage.holdInstead(ctx, t.usage(), freed, exact)
	if err != nil {
		return 0, err
	}
	defer room.end()
	if err := m.enter(ctx); err != nil {
		return 0, err
	}
	defer m.leave()
	lock, err := m.lockOrMend(ctx)
	if err != nil {
		return 0, err
	}
	uid, err := m.appendLocked(ctx, lock, t, d, room)
	return uid, errors.Join(err, lock.unlock())
}

func (m *mailbox) appendLocked(ctx context.Context, lock *dotlock, t temp, d storage.Draft, room *room) (storage.UID, error) {
	current := m.isCurrent()
	if err := m.prepare(ctx, lock); err != nil {
		return 0, err
	}
	set, err := m.defineKeywords(ctx, d.Keywords)
	if err != nil {
		return 0, err
	}
	base := m.store.names.next() + t.tail()
	if err := m.keepMoreKeywordsOf(base, moreOf(set)); err != nil {
		return 0, err
	}
	name := base + fileFlags{system: d.Flags, keywords: lettersOf(set)}.suffix()
	room.enter()
	if err := m.putDurably(m.place(), t, "cur", name, d); err != nil {
		return 0, err
	}
	uids, err := m.addToList([]string{base}, nil)
	if err != nil {
		if failed := m.store.journal.Forget(m.place().dir, base); failed != nil {
			return 0, errors.Join(err, failed)
		}
		return 0, errors.Join(err, m.store.remove(m.path("cur/"+name)))
	}
	room.take()
	if current {
		m.showAppended([]readyMessage{{draft: d, set: set, name: name}})
	} else {
		m.disk.ours, _ = m.stamps() // a help only
		m.poke()
	}
	return uids[0], nil
}

// showAppended adds the messages of the list's last lines to a state that had all
// others, which spares the next look the reading of the directories.
func (m *mailbox) showAppended(added []readyMessage) {
	if err := m.discardIndex(); err != nil {
		m.poke() // the next look says what is wrong
		return
	}
	s, words := m.current(), m.disk.vocabulary()
	lines := m.disk.list.entries[len(m.disk.list.entries)-len(added):]
	m.disk.modseq++
	view := *s.view
	view.HighestModSeq, view.UIDNext = m.disk.modseq, m.disk.list.next
	view.Keywords, view.MoreKeywords = words.names(), words.hasRoom()
	files := s.files
	for i, one := range added { // who has an older view does not look behind its end
		_, suffix := splitName(one.name)
		view.Messages = append(view.Messages, storage.Message{UID: lines[i].uid, ModSeq: m.disk.modseq, Flags: one.draft.Flags, Keywords: one.set})
		files = append(files, file{base: lines[i].base, suffix: suffix, ext: lines[i].ext})
	}
	m.publish(&state{&view, files})
	m.stayCurrent()
}

// prepare makes sure that lines can be appended to the uidlist. The lock is
// held.
func (m *mailbox) prepare(ctx context.Context, lock *dotlock) error {
	now, err := m.stampIfThere(uidListFile)
	if err != nil {
		return err
	}
	if m.disk.loaded && now == m.disk.seen.list && now != (stamp{}) && !m.disk.list.mustRewrite {
		return nil
	}
	return m.settleLocked(ctx, lock)
}

// addToList gives UIDs to files that were just put into cur/, durably. What is in
// ext by base name goes into their lines.
func (m *mailbox) addToList(bases []string, ext map[string]string) ([]storage.UID, error) {
	list := m.disk.list
	entries, err := list.number(bases)
	if err != nil {
		return nil, err
	}
	saved := dateExt(m.store.now())
	for i := range entries {
		entries[i].ext = saved
		if more := ext[entries[i].base]; more != "" {
			entries[i].ext += " " + more
		}
	}
	if err := m.appendEntries(list, entries); err != nil {
		return nil, err
	}
	if m.disk.seen.list, err = m.stampIfThere(uidListFile); err != nil {
		return nil, err
	}
	m.disk.settled = false // the files are news for the next look
	uids := make([]storage.UID, len(entries))
	for i, e := range entries {
		uids[i] = e.uid
	}
	m.addRecent(uids)
	return uids, nil
}
