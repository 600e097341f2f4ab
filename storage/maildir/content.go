package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// content is an open message.
type content struct {
	durable.File
	store   *Store
	size    int64
	modTime time.Time
}

// Size implements message.Content.
func (c *content) Size() int64 { return c.size }

// Close implements storage.Content.
func (c *content) Close() error {
	c.store.mu.Lock()
	_, open := c.store.contents[c]
	delete(c.store.contents, c)
	c.store.mu.Unlock()
	if !open {
		return nil
	}
	return c.File.Close()
}

// Content implements storage.Mailbox.
func (h *handle) Content(ctx context.Context, uid storage.UID) (storage.Content, error) {
	c, err := h.content(ctx, uid)
	if err != nil {
		return nil, h.wrap("read", err)
	}
	return c, nil
}

func (h *handle) content(ctx context.Context, uid storage.UID) (*content, error) {
	var c *content
	err := h.withFile(ctx, uid, func(f file) (err error) {
		c, err = h.openContent(f)
		return err
	})
	return c, err
}

func (m *mailbox) openContent(f file) (*content, error) {
	opened, err := m.store.fs.OpenFile(m.path(f.path()), syscall.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return m.store.newContent(opened)
}

func (s *Store) newContent(f durable.File) (*content, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c := &content{File: f, store: s, size: info.Size(), modTime: info.ModTime()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(ErrClosed, f.Close())
	}
	s.contents[c] = struct{}{}
	return c, nil
}

// lookAgain is how often a file is looked for that others keep renaming.
const lookAgain = 4

// withFile calls do with the file of a message, and again after a look at the
// disk when the file turns out to have been renamed.
func (h *handle) withFile(ctx context.Context, uid storage.UID, do func(file) error) error {
	if h.closed.Load() {
		return ErrClosed
	}
	if h.current() == nil {
		if _, err := h.View(ctx); err != nil {
			return err
		}
	}
	err := storage.ErrExpunged
	for range lookAgain {
		s := h.current()
		if i, there := s.find(uid); there {
			if err = do(s.files[i]); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		} else if !h.isBehind() {
			return storage.ErrExpunged
		}
		if err := h.lookAnew(ctx); err != nil {
			return err
		}
	}
	return err
}

// lookAnew refreshes whatever the stamps say.
func (h *handle) lookAnew(ctx context.Context) error {
	if err := h.enter(ctx); err != nil {
		return err
	}
	defer h.leave()
	h.disk.settled = false
	return h.refresh(ctx)
}

// Info implements storage.Mailbox.
func (h *handle) Info(ctx context.Context, uid storage.UID) (storage.Info, error) {
	var info storage.Info
	err := h.withFile(ctx, uid, func(f file) error {
		st, err := h.store.fs.Stat(h.path(f.path()))
		if err != nil {
			return err
		}
		s, err := h.sizesOf(uid, f, st.Size())
		if err != nil {
			return err
		}
		info = storage.Info{
			Facts:    storage.Facts{WireSize: s.wire, StoredSize: s.stored, InternalDate: st.ModTime()},
			SaveDate: f.saveDate(st),
			EmailID:  f.emailID(),
		}
		return nil
	})
	if err != nil {
		return storage.Info{}, h.wrap("look at", err)
	}
	return info, nil
}

func changeTime(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime()
	}
	return time.Unix(st.Ctim.Unix())
}

// sizesOf believes the name, or the line in the uidlist, as long as their size
// is that of the file; else it counts, once.
func (h *handle) sizesOf(uid storage.UID, f file, size int64) (sizes, error) {
	h.mu.Lock()
	s, known := h.measured[uid]
	h.mu.Unlock()
	if known && s.stored == size {
		return s, nil
	}
	if s := f.sizes(); s.stored == size && s.wire >= size {
		return s, nil
	}
	r, err := h.store.fs.OpenFile(h.path(f.path()), syscall.O_RDONLY, 0)
	if err != nil {
		return sizes{}, err
	}
	s, err = h.store.measure(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return sizes{}, err
	}
	h.remember(uid, s)
	return s, nil
}

func (m *mailbox) remember(uid storage.UID, s sizes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measured[uid] = s
}

var _ io.ReaderAt = (*content)(nil)
