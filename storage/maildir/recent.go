package maildir

import (
	"context"
	"maps"
	"slices"

	"gomaild/storage"
)

// recents are messages that no session was told of as \Recent, kept while
// nobody has the mailbox open. They are lost with the process: \Recent is a
// courtesy (RFC 9051 has dropped it).
type recents struct {
	validity uint32
	uids     map[storage.UID]struct{}
}

func (m *mailbox) addRecent(uids []storage.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, uid := range uids {
		m.recent[uid] = struct{}{}
	}
}

// ClaimRecent implements storage.Mailbox.
func (h *handle) ClaimRecent(_ context.Context, v *storage.View) ([]storage.UID, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var claimed []storage.UID
	for _, uid := range slices.Sorted(maps.Keys(h.recent)) {
		if _, there := v.Index(uid); there {
			claimed = append(claimed, uid)
			delete(h.recent, uid)
		}
	}
	return claimed, nil
}

// retire keeps what outlives the last handle.
func (m *mailbox) retire() {
	m.store.watcher.forget(m)
	m.keepIndex()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == nil || len(m.recent) == 0 || m.gone.Load() {
		return
	}
	r := recents{m.state.view.UIDValidity, m.recent}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if len(m.store.recents) >= maxKnown {
		clear(m.store.recents)
	}
	m.store.recents[m.place().dir] = r
}

// recallRecent takes it up again.
func (m *mailbox) recallRecent(validity uint32) {
	dir := m.place().dir
	m.store.mu.Lock()
	r := m.store.recents[dir]
	delete(m.store.recents, dir)
	m.store.mu.Unlock()
	if r.validity == validity {
		m.addRecent(slices.Collect(maps.Keys(r.uids)))
	}
}

// forgetMessages drops what was known under another UIDVALIDITY.
func (m *mailbox) forgetMessages() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.recent)
	clear(m.measured)
}
