package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/storage"
)

// account is what all handles of one account share.
type account struct {
	store *Store
	dir   string // below the mail root
	refs  int    // guarded by store.mu
	usage *usage

	mu    sync.Mutex
	boxes map[string]*mailbox // open ones by folder

	usesMu sync.Mutex
	given  givenUses // guarded by usesMu
}

// accountHandle is one caller's storage.Account.
type accountHandle struct {
	*account
	closed atomic.Bool
}

var _ storage.Account = (*accountHandle)(nil)

// Close implements storage.Account. Mailboxes opened through it stay open.
func (h *accountHandle) Close() error {
	if !h.closed.Swap(true) {
		h.store.release(h.account)
	}
	return nil
}

func (h *accountHandle) alive() error {
	if h.closed.Load() {
		return ErrClosed
	}
	return h.store.alive()
}

// path is a name below the account's directory.
func (a *account) path(name string) string { return path.Join(a.dir, name) }

// Open implements storage.Account.
func (h *accountHandle) Open(ctx context.Context, name string) (storage.Mailbox, error) {
	if err := h.alive(); err != nil {
		return nil, err
	}
	name = canonical(name)
	folder, err := h.resolve(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open mailbox %q: %w", name, err)
	}
	return h.open(name, folder)
}

func (a *account) open(name, folder string) (storage.Mailbox, error) {
	if _, err := a.store.acquire(a.dir); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.boxes[folder]
	if m == nil {
		real, _ := nameOf(folder)
		if folder == "." {
			real = inbox
		}
		m = newMailbox(a, place{name: real, folder: folder, dir: a.path(folder)})
		a.boxes[folder] = m
	}
	m.refs++
	return &handle{mailbox: m, name: name}, nil
}

// close gives one reference of a mailbox back; the last one may be kept for the
// next who opens it.
func (a *account) close(m *mailbox) {
	a.mu.Lock()
	w := &a.store.warmth
	kept := m.refs == 1 && w.take(a.store, m)
	w.touch(m)
	a.mu.Unlock()
	if !kept {
		a.unref(m)
	}
	w.cool(time.Now().Add(-warmFor))
}

// unref gives a reference back.
func (a *account) unref(m *mailbox) {
	a.mu.Lock()
	if m.refs--; m.refs == 0 {
		if folder := m.place().folder; a.boxes[folder] == m {
			delete(a.boxes, folder)
		}
		m.retire()
	}
	a.mu.Unlock()
	a.store.release(a)
}

// opened is the open mailbox of a folder, or nil.
func (a *account) opened(folder string) *mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.boxes[folder]
}

// resolve finds the folder of a mailbox, through an alias if name is one. A
// special folder is made when it is missing.
func (a *account) resolve(ctx context.Context, name string) (string, error) {
	folder, err := folderOf(name)
	if err != nil || folder == "." {
		return folder, err
	}
	kind, target, err := a.look(folder)
	switch {
	case err != nil:
		return "", err
	case kind == isAlias:
		return target, nil
	case kind == isFolder:
		return folder, nil
	case kind == isOther:
		return "", storage.ErrNoSelect
	case a.use(name) != "":
		return folder, a.makeSpecial(ctx, name, folder)
	}
	below, err := a.hasChildren(name)
	if err != nil {
		return "", err
	}
	if below {
		return "", storage.ErrNoSelect
	}
	return "", storage.ErrNoMailbox
}

// kind is what a name in the account's directory is.
type kind int

const (
	isMissing kind = iota
	isFolder
	isAlias // a link to a folder beside it, as mailbox_alias of Dovecot makes
	isOther
)

// look finds out what a folder's name is, and the folder an alias stands for.
func (a *account) look(folder string) (kind, string, error) {
	info, err := a.store.fs.Lstat(a.path(folder))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return isMissing, "", nil
	case err != nil:
		return isMissing, "", err
	case info.IsDir():
		return isFolder, "", nil
	case info.Mode()&fs.ModeSymlink == 0:
		return isOther, "", nil
	}
	target, err := a.store.fs.Readlink(a.path(folder))
	if err != nil {
		return isMissing, "", err
	}
	if _, ok := nameOf(target); !ok {
		return isOther, "", nil
	}
	info, err = a.store.fs.Lstat(a.path(target))
	if err != nil || !info.IsDir() {
		return isOther, "", nil
	}
	return isAlias, target, nil
}

// use is the special use of a mailbox, "" for none.
func (a *account) use(name string) string {
	for _, s := range a.store.special {
		if s.Name == name {
			return s.Use
		}
	}
	return ""
}

// makeSpecial makes a special folder. It was shown as subscribed all the time,
// so from now on the file says so.
func (a *account) makeSpecial(ctx context.Context, name, folder string) error {
	if err := a.store.makeMaildir(a.path(folder)); err != nil {
		return err
	}
	return a.subscribe(ctx, name, true)
}

// folders are the names in the account's directory that can be folders.
func (a *account) folders() ([]string, error) {
	names, err := a.store.fs.ReadDirNames(a.dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		_, ok := nameOf(n)
		return !ok
	})
	slices.Sort(names)
	return names, nil
}

func (a *account) hasChildren(name string) (bool, error) {
	folders, err := a.folders()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(folders, func(f string) bool {
		child, _ := nameOf(f)
		return isBelow(child, name)
	}), nil
}

func (a *account) subscribe(ctx context.Context, name string, on bool) error {
	return a.store.edit(ctx, a.path(subscriptionsFile), func(old string) ([]byte, error) {
		s := parseSubscriptions(old)
		if !s.set(name, on) {
			return nil, nil
		}
		return s.format(), nil
	})
}
