package maildir

import (
	"container/list"
	"context"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"gomaild/storage"
)

const uidListFile = "dovecot-uidlist"

// mailbox is what all handles of one mailbox share.
type mailbox struct {
	account *account
	store   *Store
	refs    int           // guarded by account.mu
	warm    *list.Element // guarded by store.warmth.mu; not nil: it has a reference
	at      atomic.Pointer[place]
	gone    atomic.Bool // deleted

	// gate lets one operation at a time change the mailbox or look at the disk.
	// It is a channel so that a context ends the wait.
	gate chan struct{}
	disk onDisk // guarded by gate

	digests  digests
	memo     storage.Memo
	recalled sync.Once // memo has what was kept

	mu       sync.Mutex
	state    *state // nil: nobody looked yet
	changed  chan struct{}
	waiters  storage.Waiters // woken whenever changed is closed
	poked    bool            // changed is closed, state is older than what was noticed
	awaited  bool            // somebody holds changed
	recent   []storage.UID   // ascending
	measured map[storage.UID]sizes
	history  storage.History
}

// place is where a mailbox is; renaming gives it another.
type place struct {
	name   string
	folder string // below the account, "." for INBOX
	dir    string // below the mail root
}

// state is the mailbox at one moment. It is immutable.
type state struct {
	view  *storage.View
	files []file // of view.Messages, by position
}

// file is where a message lies.
type file struct {
	base   string
	suffix string
	ext    string // of its line in the uidlist
	inNew  bool
}

// subOf is the directory of files that are in new/, or not.
func subOf(inNew bool) string {
	if inNew {
		return "new"
	}
	return "cur"
}

func (f file) path() string {
	return subOf(f.inNew) + "/" + f.base + f.suffix
}

// sizes are what the name says, and where it says nothing the uidlist.
func (f file) sizes() sizes {
	s, ext := nameSizes(f.base), extSizes(f.ext)
	if s.stored < 0 {
		s.stored = ext.stored
	}
	if s.wire < 0 {
		s.wire = ext.wire
	}
	return s
}

// find is the position of a message.
func (s *state) find(uid storage.UID) (i int, found bool) {
	if s == nil {
		return 0, false
	}
	return s.view.Index(uid)
}

func newMailbox(a *account, p place) *mailbox {
	m := &mailbox{
		account:  a,
		store:    a.store,
		gate:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
		measured: map[storage.UID]sizes{},
	}
	m.at.Store(&p)
	return m
}

func (m *mailbox) place() place { return *m.at.Load() }

// path is a name below the mailbox's directory.
func (m *mailbox) path(name string) string { return path.Join(m.place().dir, name) }

// enter passes the gate; call leave afterwards.
func (m *mailbox) enter(ctx context.Context) error {
	select {
	case m.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := m.store.alive()
	if m.gone.Load() {
		err = storage.ErrNoMailbox
	}
	if err != nil {
		m.leave()
	}
	return err
}

func (m *mailbox) leave() { <-m.gate }

// lock takes the lock that other programs heed. The gate is held.
func (m *mailbox) lock(ctx context.Context) (*dotlock, error) {
	return m.store.locks.lock(ctx, m.path(uidListFile+".lock"))
}

// wrap names the operation and the mailbox.
func (m *mailbox) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s %q: %w", op, m.account.dir, m.place().name, err)
}

func (m *mailbox) current() *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// poke says that the mailbox is not as the present view shows it.
func (m *mailbox) poke() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.poked {
		m.poked = true
		close(m.changed)
		m.waiters.Wake()
	}
}

// isBehind reports that the state lacks what this process has done already.
func (m *mailbox) isBehind() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.poked
}

// publish makes s the present state.
func (m *mailbox) publish(s *state) {
	m.mu.Lock()
	defer m.mu.Unlock()
	same := m.state != nil && m.state.view == s.view
	m.state = s
	if same && !m.poked {
		return
	}
	if !m.poked {
		close(m.changed)
		m.waiters.Wake()
	}
	m.changed = make(chan struct{})
	m.poked, m.awaited = false, false
}

// handle is one caller's storage.Mailbox.
type handle struct {
	*mailbox
	name   string // as it was opened, perhaps an alias
	closed atomic.Bool
}

var _ storage.Mailbox = (*handle)(nil)

// Name implements storage.Mailbox.
func (h *handle) Name() string { return h.name }

// Close implements storage.Mailbox.
func (h *handle) Close() error {
	if !h.closed.Swap(true) {
		h.account.close(h.mailbox)
	}
	return nil
}

func (h *handle) enter(ctx context.Context) error {
	if h.closed.Load() {
		return ErrClosed
	}
	return h.mailbox.enter(ctx)
}

// View implements storage.Mailbox.
func (h *handle) View(ctx context.Context) (*storage.View, error) {
	if err := h.enter(ctx); err != nil {
		return nil, h.wrap("open", err)
	}
	defer h.leave()
	if err := h.refresh(ctx); err != nil {
		return nil, h.wrap("open", err)
	}
	return h.current().view, nil
}

// Vanished implements storage.Mailbox.
func (h *handle) Vanished(_ context.Context, v *storage.View, since storage.ModSeq) ([]storage.UIDRange, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.history.Vanished(v, since), nil
}

// Changed implements storage.Mailbox.
func (h *handle) Changed(v *storage.View) <-chan struct{} {
	h.listen()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isPresent(v) {
		done := make(chan struct{})
		close(done)
		return done
	}
	h.awaited = true
	return h.changed
}

// listen begins to notice what others do.
func (h *handle) listen() {
	h.store.startPolling()
	if !h.closed.Load() {
		h.store.watcher.watch(h.mailbox)
	}
}

// isPresent reports whether v is of the present state. mu is held.
func (m *mailbox) isPresent(v *storage.View) bool {
	return m.state != nil && m.state.view == v && !m.gone.Load()
}

// Watch implements storage.Mailbox.
func (h *handle) Watch(v *storage.View, wake func()) (stop func()) {
	h.listen()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isPresent(v) || h.poked {
		wake()
		return func() {}
	}
	h.awaited = true
	return h.waiters.Add(wake)
}
