package maildir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"time"

	"gomaild/storage"
)

// number gives UIDs to the files that have none, in the order of their arrival,
// and brings the uidlist in order. When it returns, all is on disk. The lock is
// held.
func (m *mailbox) number(r *reading) error {
	list, isFirst := r.list, r.list == nil
	if isFirst {
		var err error
		if list, err = m.newList(); err != nil {
			return err
		}
		if len(r.files) > 0 {
			m.store.log.Info("mailbox has no uidlist, gets a UIDVALIDITY", "mailbox", m.place().dir, "uidvalidity", list.validity, "messages", len(r.files))
		}
	}
	if list.brokenAt > 0 {
		m.store.log.Warn("uidlist is damaged, messages from there on get new UIDs", "mailbox", m.place().dir, "line", list.brokenAt)
	}
	sortByArrival(r.added, func(a addition) string { return a.base })
	bases := make([]string, len(r.added))
	for i, one := range r.added {
		bases[i] = one.base
	}
	entries, err := list.number(bases)
	if err != nil {
		return err
	}
	for i, one := range r.added {
		if !one.saved.IsZero() {
			entries[i].ext = dateExt(one.saved)
		}
	}
	if list.mustRewrite || list.guid == "" || r.vanished || r.tooStale() || m.disk.undated || r.needsDates() {
		err = m.rewrite(r, list, entries)
	} else {
		r.list = list
		err = m.appendEntries(list, entries)
	}
	if err != nil {
		return err
	}
	r.fresh = slices.Grow(r.fresh, len(entries))
	for _, e := range entries {
		r.fresh = append(r.fresh, e.uid)
	}
	if isFirst {
		r.lines = make([]found, len(r.added))
		for i, one := range r.added {
			r.lines[i] = one.found
		}
	}
	if r.stamps.list, err = m.stampIfThere(uidListFile); err != nil {
		return err
	}
	return nil
}

// newList is that of a mailbox which nobody opened yet.
func (m *mailbox) newList() (*uidlist, error) {
	validity, err := m.account.nextUIDValidity(0)
	if err != nil {
		return nil, err
	}
	return &uidlist{validity: validity, next: 1, mustRewrite: true}, nil
}

// newGUID is 128 random bits: what the mailbox is called by, whatever its name.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// rewrite writes the list anew without lines of messages that are gone; N keeps
// their UIDs from being used again.
func (m *mailbox) rewrite(r *reading, list *uidlist, entries []uidEntry) error {
	fresh := *list
	fresh.mustRewrite, fresh.brokenAt = false, 0
	fresh.entries = make([]uidEntry, 0, len(list.entries)+len(entries))
	for _, e := range list.entries {
		if _, there := r.files[e.base]; there {
			fresh.entries = append(fresh.entries, e)
		}
	}
	m.date(fresh.entries, r)
	fresh.add(entries)
	if fresh.guid == "" {
		fresh.guid = newGUID()
	}
	data := fresh.format()
	if err := m.store.writeFile(m.path(uidListFile), data); err != nil {
		return err
	}
	fresh.size = int64(len(data))
	r.list = &fresh
	return nil
}

// appendEntries adds lines to the file and then to the list. What could not be
// written whole is cut off again.
func (m *mailbox) appendEntries(list *uidlist, entries []uidEntry) error {
	if len(entries) == 0 {
		return nil
	}
	f, err := m.store.fs.OpenFile(m.path(uidListFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	lines := appendLines(nil, entries)
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		// If it cannot be cut off the list is found damaged and rewritten.
		list.mustRewrite = true
		return errors.Join(err, f.Truncate(list.size), f.Close())
	}
	list.size += int64(len(lines))
	list.add(entries)
	return f.Close()
}

// adopt makes the reading the present state.
func (m *mailbox) adopt(r *reading, looked time.Time) error {
	d := &m.disk
	old := m.current()
	if !d.loaded {
		var err error
		if old, err = m.start(r); err != nil {
			return err
		}
		m.recallRecent(r.list.validity)
		m.sweepTemp()
	}
	next := r.state(old, d.modseq)
	if old == nil || next.view != old.view {
		if err := m.discardIndex(); err != nil {
			return err
		}
	}
	m.follow(old, next)
	d.modseq = next.view.HighestModSeq
	d.loaded, d.seen, d.settled = true, r.stamps, r.settledAt(looked)
	d.own, d.short, d.scanned = false, false, looked
	if !d.settled && r.stamps.isOf(d.ours, looked) {
		d.settled, d.own = true, true
	}
	d.list, d.keys, d.more, d.ignored = r.list, r.keys, r.more, r.ignored
	m.addRecent(r.fresh)
	m.publish(next)
	return nil
}

// follow remembers what went between two looks.
func (m *mailbox) follow(old, next *state) {
	if old == nil || old.view == next.view {
		return
	}
	if old.view.UIDValidity != next.view.UIDValidity {
		m.forgetMessages()
		m.startHistory(next.view.HighestModSeq)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history.Record(old.view, next.view)
}

// startHistory forgets what vanished: from modseq on it is known.
func (m *mailbox) startHistory(modseq storage.ModSeq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = storage.History{Since: modseq}
}
