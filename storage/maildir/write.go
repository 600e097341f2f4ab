package maildir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// bufferSize is read at once; a smaller message is one write.
const bufferSize = 32 << 10

// temp is a message in tmp/: complete, with its date, synced.
type temp struct {
	name string       // below the mail root; "" if it has none yet
	file durable.File // open, if it has no name
	sizes
	kept []byte // not synced instead: its content, for the journal
}

// sync makes the content durable.
func (t temp) sync(s *Store) error {
	if t.name == "" {
		return t.file.Sync()
	}
	return s.syncFile(t.name)
}

// drop lets go of the message: it has its place, or is to have none.
func (t temp) drop(s *Store, isPlaced bool) error {
	if t.name == "" {
		_ = t.file.Close() // what it holds is durable, or nobody's
		return nil
	}
	if isPlaced {
		return nil
	}
	return s.remove(t.name)
}

// usage is what the message adds to the account.
func (t temp) usage() storage.Usage { return storage.Usage{Bytes: t.stored, Messages: 1} }

// writeTemp stores a draft's content in tmp/ of the mailbox, under a name.
func (m *mailbox) writeTemp(d storage.Draft) (temp, error) { return m.writeInto(nil, d, m.createTemp) }

// writeTempFor stores a draft and does not sync it if the whole of it is in
// keep afterwards; a nil keep keeps nothing. If there is a journal and it can be, the
// file has no name, which costs less there and leaves nothing behind.
func (m *mailbox) writeTempFor(keep *keeper, d storage.Draft) (temp, error) {
	if keep == nil || !d.InternalDate.IsZero() || m.store.allNamed.Load() {
		return m.writeInto(keep, d, m.createTemp)
	}
	return m.writeInto(keep, d, m.createUnnamed)
}

// writeUnsynced stores a draft under a name; the caller makes it durable.
func (m *mailbox) writeUnsynced(d storage.Draft) (temp, error) {
	return m.fill(nil, d, m.createTemp, false)
}

// writeInto fills a new file. One with a name is closed, the other stays open.
func (m *mailbox) writeInto(keep *keeper, d storage.Draft, create func() (temp, error)) (temp, error) {
	return m.fill(keep, d, create, true)
}

// fill does what writeInto does, and syncs what is not kept only if sync says so.
func (m *mailbox) fill(keep *keeper, d storage.Draft, create func() (temp, error), sync bool) (temp, error) {
	t, err := create()
	if err != nil {
		return temp{}, err
	}
	t.sizes, err = m.store.copyContent(keep.beside(t.file), d.Content)
	if err == nil && !d.InternalDate.IsZero() {
		err = m.store.fs.Chtimes(t.name, d.InternalDate, d.InternalDate)
	}
	if err == nil && (m.store.uid >= 0 || m.store.gid >= 0) {
		err = t.file.Chown(m.store.uid, m.store.gid)
	}
	if t.kept = keep.content(); err == nil && t.kept == nil && sync {
		err = t.file.Sync()
	}
	if t.name != "" {
		err = errors.Join(err, t.file.Close())
	}
	if err != nil {
		return temp{}, errors.Join(err, t.drop(m.store, false))
	}
	return t, nil
}

// createTemp makes a file in tmp/.
func (m *mailbox) createTemp() (t temp, err error) {
	t.name = m.path(path.Join("tmp", m.store.names.next()))
	err = m.mending(func() error {
		t.file, err = m.store.fs.OpenFile(t.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
		return err
	})
	return t, err
}

// createUnnamed makes a file that is in no directory, or in tmp/ if there are
// no such files here.
func (m *mailbox) createUnnamed() (t temp, err error) {
	err = m.mending(func() error {
		t.file, err = m.store.fs.CreateUnnamed(m.path("tmp"), fileMode)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		m.store.allNamed.Store(true)
		return m.createTemp()
	}
	return t, err
}

// mending does work, and again with the directories made if somebody removed
// them.
func (m *mailbox) mending(work func() error) error {
	err := work()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.mend(); err != nil {
		return err
	}
	return work()
}

// copyContent writes content with LF line ends and counts its octets.
func (s *Store) copyContent(w io.Writer, content io.Reader) (sizes, error) {
	in := s.buffers.Get().(*[]byte)
	out := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(in)
	defer s.buffers.Put(out)
	lf := lfWriter{w: w, buf: (*out)[:0]}
	for {
		n, err := content.Read(*in)
		lf.write((*in)[:n])
		switch {
		case errors.Is(err, io.EOF):
			return lf.finish()
		case err != nil:
			return sizes{}, err
		case lf.err != nil:
			return sizes{}, lf.err
		}
	}
}

// lfWriter turns CRLF into LF. A CR elsewhere stays, and so does a CRLF after
// another CR: it could not be told from a lone one when it is read again.
type lfWriter struct {
	w      io.Writer
	buf    []byte
	held   bool // a CR that may belong to a line end
	last   byte // what was emitted last
	stored int64
	extra  int64 // octets that the wire form has more
	err    error
}

func (l *lfWriter) write(p []byte) {
	for len(p) > 0 {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		if l.held && len(text) > 0 {
			l.emit('\r')
			l.held = false
		}
		if n := len(text); n > 0 && text[n-1] == '\r' {
			text, l.held = text[:n-1], true
		}
		l.emit(text...)
		if ended {
			l.endLine()
		}
	}
}

func (l *lfWriter) endLine() {
	if l.held && l.last == '\r' {
		l.emit('\r')
	} else {
		l.extra++
	}
	l.held = false
	l.emit('\n')
}

func (l *lfWriter) emit(p ...byte) {
	for len(p) > 0 {
		n := min(len(p), cap(l.buf)-len(l.buf))
		l.buf = append(l.buf, p[:n]...)
		l.last = p[n-1]
		l.stored += int64(n)
		p = p[n:]
		if len(l.buf) == cap(l.buf) {
			l.flush()
		}
	}
}

func (l *lfWriter) flush() {
	if l.err == nil && len(l.buf) > 0 {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
}

func (l *lfWriter) finish() (sizes, error) {
	if l.held {
		l.emit('\r')
	}
	l.flush()
	return sizes{stored: l.stored, wire: l.stored + l.extra}, l.err
}

// measure counts what a file holds.
func (s *Store) measure(r io.Reader) (sizes, error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	return measure(r, *buf)
}

func measure(r io.Reader, buf []byte) (sizes, error) {
	var stored, extra int64
	lastCR := false
	for {
		n, err := r.Read(buf)
		part := buf[:n]
		stored += int64(n)
		for i := bytes.IndexByte(part, '\n'); i >= 0; i = bytes.IndexByte(part, '\n') {
			if i > 0 && part[i-1] != '\r' || i == 0 && !lastCR {
				extra++
			}
			lastCR, part = false, part[i+1:]
		}
		if len(part) > 0 {
			lastCR = part[len(part)-1] == '\r'
		}
		switch {
		case errors.Is(err, io.EOF):
			return sizes{stored, stored + extra}, nil
		case err != nil:
			return sizes{}, err
		}
	}
}

// usable is why nothing can be stored here, before anything is read.
func (m *mailbox) usable(ctx context.Context) error {
	if m.gone.Load() {
		return storage.ErrNoMailbox
	}
	return errors.Join(m.store.alive(), ctx.Err())
}

// put brings a message from tmp/ to its place, and makes that directory if
// somebody removed it.
func (p place) put(m *mailbox, t temp, name string) error {
	to := path.Join(p.dir, name)
	return m.mending(func() error {
		if t.name == "" {
			return t.file.Link(to)
		}
		return m.store.fs.Rename(t.name, to)
	})
}

// aside does something of its own under the lock, outside of any other change.
func (m *mailbox) aside(ctx context.Context, do func() error) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.leave()
	lock, err := m.lockOrMend(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(), lock.unlock())
}

// lockOrMend is lock for a mailbox whose directory may have to be made.
func (m *mailbox) lockOrMend(ctx context.Context) (*dotlock, error) {
	lock, err := m.lock(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return lock, err
	}
	if err := m.mend(); err != nil {
		return nil, err
	}
	return m.lock(ctx)
}

// defineKeywords finds or makes the letters of keywords, and positions for those
// for which there is no letter. The lock is held.
func (m *mailbox) defineKeywords(ctx context.Context, names []string) (storage.KeywordSet, error) {
	if len(names) == 0 {
		return "", nil
	}
	if err := m.lookAtMoreKeywords(); err != nil {
		return "", err
	}
	var set storage.KeywordSet
	var left []string
	var now keywords
	err := m.editKeywords(ctx, &now, func(k *keywords) (changed bool, err error) {
		set, left, changed, err = k.define(names, m.disk.more)
		return changed, err
	})
	if err != nil {
		return "", err
	}
	m.disk.keys = now
	more, err := m.defineMoreKeywords(left)
	return set.Union(more), err
}
