package maildir

import (
	"context"
	"slices"

	"gomaild/storage"
)

// recents are messages that no session was told of as \Recent, kept while
// nobody has the mailbox open. They are lost with the process: \Recent is a
// courtesy (RFC 9051 has dropped it).
type recents struct {
	validity uint32
	uids     []storage.UID
}

func (m *mailbox) addRecent(uids []storage.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.recent)
	m.recent = append(m.recent, uids...)
	for i := max(n, 1); i < len(m.recent); i++ {
		if m.recent[i] <= m.recent[i-1] {
			slices.Sort(m.recent)
			m.recent = slices.Compact(m.recent)
			return
		}
	}
}

// ClaimRecent implements storage.Mailbox.
func (h *handle) ClaimRecent(_ context.Context, v *storage.View) ([]storage.UID, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.recent) == 0 {
		return nil, nil
	}
	var claimed, kept []storage.UID
	at, _ := v.Index(h.recent[0])
	for _, uid := range h.recent {
		for at < len(v.Messages) && v.Messages[at].UID < uid {
			at++
		}
		if at < len(v.Messages) && v.Messages[at].UID == uid {
			claimed = append(claimed, uid)
		} else {
			kept = append(kept, uid)
		}
	}
	h.recent = kept
	return claimed, nil
}

// retire keeps what outlives the last handle.
func (m *mailbox) retire() {
	m.store.watcher.forget(m)
	m.keepIndex()
	m.keepOrders()
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
		m.addRecent(r.uids)
	}
}

// forgetMessages drops what was known under another UIDVALIDITY.
func (m *mailbox) forgetMessages() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent = nil
	clear(m.measured)
}
