package maildir

import (
	"context"
	"errors"
	"path"

	"gomaild/storage"
)

// Append implements storage.Mailbox. The content is read and synced before the
// gate, so that a slow client holds up nobody.
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
	t, err := m.writeTemp(d)
	if err != nil {
		return 0, err
	}
	uid, err := m.appendTemp(ctx, t, d)
	if err != nil {
		return 0, errors.Join(err, m.store.remove(t.name))
	}
	m.poke()
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
	name := path.Join("cur", base+fileFlags{system: d.Flags, keywords: lettersOf(set)}.suffix())
	room.enter()
	if err := m.place().put(m, t, name); err != nil {
		return 0, err
	}
	uids, err := m.addToList([]string{base}, func() error { return m.store.fs.SyncDir(m.path("cur")) })
	if err != nil {
		return 0, errors.Join(err, m.store.remove(m.path(name)))
	}
	room.take()
	return uids[0], nil
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

// addToList gives UIDs to files that were just put into cur/, after sync has
// made those durable.
func (m *mailbox) addToList(bases []string, sync func() error) ([]storage.UID, error) {
	if err := sync(); err != nil {
		return nil, err
	}
	list := m.disk.list
	entries, err := list.number(bases)
	if err != nil {
		return nil, err
	}
	saved := dateExt(m.store.now())
	for i := range entries {
		entries[i].ext = saved
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
