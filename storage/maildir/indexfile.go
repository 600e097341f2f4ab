package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/index"
)

// The index file of a mailbox exists only while it is true. It is removed,
// durably, before the first View that it does not describe, and written again
// when the last handle is closed. So after a crash it is either missing, and
// then every MODSEQ jumps ahead of all that were ever given out (they start at
// the time in microseconds), or it holds the last MODSEQ that any client saw.
// It need not be synced: a torn one is as good as none.
const indexFile = "gomaild.index"

// maxIndex bounds what is read: far above what a million messages need.
const maxIndex = 256 << 20

// loadIndex gives the state that clients saw last, nil if that is not known.
// The uidlist and the keywords have been read.
func (m *mailbox) loadIndex(r *reading) (*state, error) {
	name := m.path(indexFile)
	info, err := m.store.fs.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.disk.indexed = true // whatever it holds, it must go before a change
	if info.Size() > maxIndex {
		return nil, m.distrust(index.ErrDamaged)
	}
	data, err := durable.ReadFile(m.store.fs, name)
	if err != nil {
		return nil, m.distrust(err)
	}
	x, err := index.Parse(data)
	if err != nil {
		return nil, m.distrust(err)
	}
	foreign, err := m.foreignIndex()
	if err != nil {
		return nil, err
	}
	if v := x.View; v.UIDValidity != r.list.validity || v.MailboxID != r.list.guid || v.UIDNext > r.list.next || x.Foreign != foreign {
		return nil, m.distrust(errOtherIndex)
	}
	x.View.MoreKeywords = r.vocabulary().hasRoom()
	m.mu.Lock()
	m.history = x.History
	m.mu.Unlock()
	return &state{view: &x.View}, nil
}

// errOtherIndex is for an index that was not written after the last change.
var errOtherIndex = errors.New("index is of another state of the mailbox")

// distrust says why an index is not used, and goes on without.
func (m *mailbox) distrust(why error) error {
	m.store.log.Warn("index is not used, clients will resynchronise", "mailbox", m.place().dir, "error", why)
	return m.discardIndex()
}

// foreignIndex is the state of Dovecot's index: where Dovecot was at work since,
// its clients may have seen states of the mailbox that ours does not know of.
func (m *mailbox) foreignIndex() (string, error) {
	s, err := m.stampIfThere("dovecot.index.log")
	return fmt.Sprint(s), err
}

// discardIndex removes an index that is about to be untrue. Nothing may be
// shown before it is durably gone.
func (m *mailbox) discardIndex() error {
	if !m.disk.indexed {
		return nil
	}
	if err := m.store.remove(m.path(indexFile)); err != nil {
		return err
	}
	if err := m.store.fs.SyncDir(m.place().dir); err != nil {
		return err
	}
	m.disk.indexed = false
	return nil
}

// keepIndex writes the index when nobody has the mailbox open any more. It is
// only a help: a failure is said in the log.
func (m *mailbox) keepIndex() {
	s := m.current()
	if s == nil || m.store.beside || m.disk.indexed || m.gone.Load() || !m.store.begin() {
		return
	}
	defer m.store.work.Done()
	foreign, err := m.foreignIndex()
	if err == nil {
		x := index.Index{View: *s.view, History: m.history, Foreign: foreign}
		x.View.HighestModSeq = max(x.View.HighestModSeq, m.disk.modseq)
		err = m.writeIndex(x.Format())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.store.log.Warn("index was not written", "mailbox", m.place().dir, "error", err)
	}
}

func (m *mailbox) writeIndex(data []byte) error {
	name := m.path(indexFile)
	f, err := m.store.fs.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close(), m.store.own(name))
}

// begin counts work that Close must wait for; false after Close.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Add(1)
	}
	return !s.closed
}

// start decides which MODSEQs a mailbox begins with that nobody had open.
func (m *mailbox) start(r *reading) (*state, error) {
	old, err := m.loadIndex(r)
	if err != nil {
		return nil, err
	}
	if old != nil {
		m.disk.modseq = old.view.HighestModSeq
		return old, nil
	}
	m.disk.modseq = storage.ModSeq(m.store.now().UnixMicro())
	m.startHistory(m.disk.modseq)
	return nil, nil
}
