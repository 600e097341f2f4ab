package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"

	"gomaild/internal/durable"
	"gomaild/message"
	"gomaild/storage"
)

// content is an open message.
type content struct {
	durable.File
	store *Store
	size  int64
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
	err := h.withFile(ctx, uid, func(f file) error {
		opened, err := h.store.fs.OpenFile(h.path(f.path()), syscall.O_RDONLY, 0)
		if err != nil {
			return err
		}
		c, err = h.store.newContent(opened)
		return err
	})
	return c, err
}

func (s *Store) newContent(f durable.File) (*content, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c := &content{File: f, store: s, size: info.Size()}
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
			WireSize:     s.wire,
			StoredSize:   s.stored,
			InternalDate: st.ModTime(),
			SaveDate:     f.saveDate(st),
			EmailID:      f.emailID(),
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

// Summary implements storage.Mailbox.
func (h *handle) Summary(ctx context.Context, uid storage.UID) (*message.Summary, error) {
	if s := h.cachedSummary(uid); s != nil {
		return s, nil
	}
	c, err := h.content(ctx, uid)
	if err != nil {
		return nil, h.wrap("read", err)
	}
	s, err := message.Parse(c)
	if err = errors.Join(err, c.Close()); err != nil {
		return nil, h.wrap("parse", err)
	}
	h.keepSummary(uid, s)
	// What was counted is right even where a name says something else.
	h.remember(uid, sizes{c.size, s.WireSize})
	return s, nil
}

// cachedSummary does not answer for a message that is gone.
func (h *handle) cachedSummary(uid storage.UID) *message.Summary {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.state.find(uid); !there || h.closed.Load() {
		return nil
	}
	return h.summaries.get(uid)
}

func (m *mailbox) keepSummary(uid storage.UID, s *message.Summary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.summaries.put(uid, s)
}

var _ io.ReaderAt = (*content)(nil)
