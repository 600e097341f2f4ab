package maildir

import (
	"context"
	"errors"
	"io"
	"path"

	"gomaild/internal/durable/journal"
	"gomaild/storage"
)

// Deliver implements storage.Mailbox: tmp/, made durable, rename to new/, made
// durable. With a journal the first covers both. No lock and no look at the
// mailbox, unless keywords need letters.
func (h *handle) Deliver(ctx context.Context, d storage.Draft) error {
	if h.closed.Load() {
		return ErrClosed
	}
	if err := h.deliver(ctx, d); err != nil {
		return h.wrap("deliver to", err)
	}
	h.poke()
	return nil
}

func (m *mailbox) deliver(ctx context.Context, d storage.Draft) (err error) {
	if err := m.usable(ctx); err != nil {
		return err
	}
	suffix, more := "", storage.KeywordSet("")
	if d.Flags != 0 || len(d.Keywords) > 0 {
		set, err := m.keywordsFor(ctx, d.Keywords)
		if err != nil {
			return err
		}
		suffix, more = fileFlags{system: d.Flags, keywords: lettersOf(set)}.suffix(), moreOf(set)
	}
	keep := m.store.newKeeper()
	defer m.store.releaseKeeper(keep)
	t, err := m.writeTempFor(keep, d)
	if err != nil {
		return err
	}
	isPlaced := false
	defer func() { err = errors.Join(err, t.drop(m.store, isPlaced)) }()
	room, err := m.account.usage.hold(ctx, t.usage(), graced)
	if err != nil {
		return err
	}
	defer room.end()
	base := m.store.names.next() + t.tail()
	if more != "" {
		if err := m.aside(ctx, func() error { return m.keepMoreKeywordsOf(base, more) }); err != nil {
			return err
		}
	}
	room.enter()
	if err := m.putDurably(m.place(), t, "new", base+suffix, d); err != nil {
		return err
	}
	isPlaced = true
	room.take()
	return nil
}

// keywordsFor is the set of the keywords of a delivery.
func (m *mailbox) keywordsFor(ctx context.Context, names []string) (set storage.KeywordSet, err error) {
	if len(names) == 0 {
		return "", nil
	}
	err = m.aside(ctx, func() error {
		set, err = m.defineKeywords(ctx, names)
		return err
	})
	return set, err
}

// putDurably brings the message from tmp/ to its name in sub of p.
func (m *mailbox) putDurably(p place, t temp, sub, name string, d storage.Draft) error {
	err := m.putJournaled(p, t, sub, name, d)
	if errors.Is(err, journal.ErrDirect) {
		return m.putDirect(p, t, sub, name)
	}
	return err
}

// putJournaled makes the message durable through the journal. Should its file be
// lost it comes back in new/, and keeps its UID if it has one: that belongs to the
// base name.
func (m *mailbox) putJournaled(p place, t temp, sub, name string, d storage.Draft) error {
	if t.kept == nil {
		return journal.ErrDirect
	}
	e := journal.Entry{Dir: p.dir, Name: name, ModTime: d.InternalDate, UID: m.store.uid, GID: m.store.gid, Content: t.kept}
	if e.ModTime.IsZero() {
		e.ModTime = m.store.now()
	}
	return m.store.journal.Deliver(e, func() error { return p.put(m, t, path.Join(sub, name)) })
}

// putDirect makes the message durable by itself.
func (m *mailbox) putDirect(p place, t temp, sub, name string) error {
	if t.kept != nil {
		if err := t.sync(m.store); err != nil {
			return err
		}
	}
	if err := p.put(m, t, path.Join(sub, name)); err != nil {
		return err
	}
	err := m.syncLinks(t)
	if err == nil {
		err = m.store.fs.SyncDir(path.Join(p.dir, sub))
	}
	if err != nil {
		return errors.Join(err, m.store.remove(path.Join(p.dir, sub, name)))
	}
	return nil
}

// syncLinks makes durable that a file which began without a name has one, where no
// journal does: docs/decisions/0003-two-waits-for-the-disk.md. It is a third wait, for
// what the journal did not take after all.
func (m *mailbox) syncLinks(t temp) error {
	if t.name != "" {
		return nil
	}
	return t.sync(m.store)
}

// keeper keeps what is written to a file, as long as the journal can take it.
type keeper struct {
	file  io.Writer
	data  []byte
	limit int
}

// newKeeper is nil where no journal takes anything.
func (s *Store) newKeeper() *keeper {
	limit := s.journal.Limit()
	if limit == 0 {
		return nil
	}
	k := s.keepers.Get().(*keeper)
	k.data, k.limit = k.data[:0], limit
	return k
}

func (s *Store) releaseKeeper(k *keeper) {
	if k == nil {
		return
	}
	k.file = nil
	s.keepers.Put(k)
}

// beside is where to write what goes to file.
func (k *keeper) beside(file io.Writer) io.Writer {
	if k == nil {
		return file
	}
	k.file = file
	return k
}

func (k *keeper) Write(p []byte) (int, error) {
	if len(k.data)+len(p) > k.limit {
		k.limit = -1
	} else {
		k.data = append(k.data, p...)
	}
	return k.file.Write(p)
}

// content is all that was written, nil if that is too much. It is not nil for
// an empty message.
func (k *keeper) content() []byte {
	if k == nil || k.limit < 0 {
		return nil
	}
	if k.data == nil {
		return []byte{}
	}
	return k.data
}
