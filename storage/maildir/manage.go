package maildir

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gomaild/storage"
)

const (
	mailboxesLock = "mailboxes.lock"
	// trash is what a folder is called while it is removed (Dovecot's name).
	trash = "..DOVECOT-TRASHED"
)

// manage does something to the set of folders, one of us and of Dovecot at a
// time.
func (h *accountHandle) manage(ctx context.Context, do func() error) error {
	if err := h.alive(); err != nil {
		return err
	}
	lock, err := h.store.locks.lock(ctx, h.path(mailboxesLock))
	if err != nil {
		return err
	}
	return errors.Join(do(), lock.unlock())
}

// Create implements storage.Account.
func (h *accountHandle) Create(ctx context.Context, name string) error {
	name = canonical(name)
	err := h.manage(ctx, func() error { return h.create(ctx, name) })
	if err != nil {
		return fmt.Errorf("create mailbox %q: %w", name, err)
	}
	return nil
}

func (a *account) create(ctx context.Context, name string) error {
	folder, err := folderOf(name)
	if err != nil {
		return err
	}
	kind, _, err := a.look(folder)
	switch {
	case err != nil:
		return err
	case kind != isMissing:
		return storage.ErrExists
	case a.use(name) != "":
		return a.makeSpecial(ctx, name, folder)
	}
	return a.store.makeMaildir(a.path(folder))
}

// Delete implements storage.Account.
func (h *accountHandle) Delete(ctx context.Context, name string) error {
	name = canonical(name)
	err := h.manage(ctx, func() error { return h.delete(ctx, name) })
	if err != nil {
		return fmt.Errorf("delete mailbox %q: %w", name, err)
	}
	return nil
}

func (a *account) delete(ctx context.Context, name string) error {
	if name == inbox {
		return fmt.Errorf("%w: INBOX stays", storage.ErrName)
	}
	folder, err := folderOf(name)
	if err != nil {
		return err
	}
	kind, _, err := a.look(folder)
	switch {
	case err != nil:
		return err
	case kind == isAlias:
		return errors.Join(a.store.fs.Remove(a.path(folder)), a.store.fs.SyncDir(a.dir))
	case kind != isFolder:
		return storage.ErrNoMailbox
	}
	if err := a.hasNoAlias(folder); err != nil {
		return err
	}
	if m := a.opened(folder); m != nil {
		if err := m.enter(ctx); err != nil {
			return err
		}
		defer m.leave()
	}
	return a.deleteFolder(folder)
}

// hasNoAlias refuses to take away a folder that other names stand for.
func (a *account) hasNoAlias(folder string) error {
	folders, err := a.folders()
	if err != nil {
		return err
	}
	for _, f := range folders {
		kind, target, err := a.look(f)
		if err != nil {
			return err
		}
		if kind == isAlias && target == folder {
			return fmt.Errorf("%w: %s is an alias of it", storage.ErrName, f)
		}
	}
	return nil
}

// deleteFolder renames the folder out of sight, which is the moment it is gone,
// and then removes it. What a crash leaves under the hidden name goes with the
// next one.
func (a *account) deleteFolder(folder string) error {
	if err := a.outliveValidity(folder); err != nil {
		return err
	}
	hidden := a.path(trash)
	if err := a.store.removeAll(hidden); err != nil {
		return err
	}
	release, err := a.store.journal.Quiesce(a.path(folder))
	if err != nil {
		return err
	}
	defer release()
	if err := a.hide(folder, hidden); err != nil {
		return err
	}
	a.drop(folder)
	if err := a.store.fs.SyncDir(a.dir); err != nil {
		return err
	}
	return a.store.removeAll(hidden)
}

// hide renames the folder, and the account holds less.
func (a *account) hide(folder, hidden string) error {
	a.usage.enter()
	defer a.usage.leave()
	if err := a.store.fs.Rename(a.path(folder), hidden); err != nil {
		return err
	}
	if !a.usage.isCounted() {
		return nil
	}
	gone, err := a.store.countFolder(hidden)
	if err != nil {
		return err
	}
	a.usage.settle(storage.Usage{}.Minus(gone), storage.Usage{})
	return nil
}

// outliveValidity makes sure that a mailbox of the same name gets another
// UIDVALIDITY.
func (a *account) outliveValidity(folder string) error {
	data, err := a.store.readFile(a.path(folder + "/" + uidListFile))
	if err != nil {
		return err
	}
	list, err := parseUIDList(data)
	if err != nil {
		return nil //nolint:nilerr // it has none
	}
	return a.raiseUIDValidity(list.validity)
}

// drop tells those who have the mailbox open that it is gone.
func (a *account) drop(folder string) {
	a.store.forget(a.path(folder))
	a.mu.Lock()
	m := a.boxes[folder]
	delete(a.boxes, folder)
	a.mu.Unlock()
	if m != nil {
		m.gone.Store(true)
		m.poke()
	}
}

// Rename implements storage.Account.
func (h *accountHandle) Rename(ctx context.Context, from, to string) error {
	from, to = canonical(from), canonical(to)
	err := h.manage(ctx, func() error {
		if from == inbox {
			return h.renameInbox(ctx, to)
		}
		return h.rename(ctx, from, to)
	})
	if err != nil {
		return fmt.Errorf("rename mailbox %q to %q: %w", from, to, err)
	}
	return nil
}

// renameInbox moves the messages; INBOX and its children stay (RFC 3501
// section 6.3.5).
func (h *accountHandle) renameInbox(ctx context.Context, to string) error {
	if err := h.create(ctx, to); err != nil {
		return err
	}
	source, err := h.Open(ctx, inbox)
	if err != nil {
		return err
	}
	target, err := h.Open(ctx, to)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	return errors.Join(moveAll(ctx, source, target), source.Close(), target.Close())
}

func moveAll(ctx context.Context, source, target storage.Mailbox) error {
	v, err := source.View(ctx)
	if err != nil {
		return err
	}
	uids := make([]storage.UID, len(v.Messages))
	for i, m := range v.Messages {
		uids[i] = m.UID
	}
	_, err = source.Move(ctx, uids, target)
	return err
}

// renaming is one folder's step of RENAME.
type renaming struct {
	from, to string // folders
	name     string // the new mailbox name
	box      *mailbox
}

func (a *account) rename(ctx context.Context, from, to string) error {
	steps, err := a.planRename(ctx, from, to)
	if err != nil {
		return err
	}
	for i := range steps {
		m := a.opened(steps[i].from)
		if m == nil {
			continue
		}
		if err := m.enter(ctx); err != nil {
			return err
		}
		defer m.leave()
		steps[i].box = m
	}
	release, err := a.store.journal.Quiesce(a.dirsOf(steps)...)
	if err != nil {
		return err
	}
	defer release()
	for i, s := range steps {
		if err := a.store.fs.Rename(a.path(s.from), a.path(s.to)); err != nil {
			return errors.Join(err, a.renameBack(steps[:i]))
		}
	}
	for _, s := range steps {
		a.moved(s)
	}
	return a.store.fs.SyncDir(a.dir)
}

// dirsOf are the directories that are renamed.
func (a *account) dirsOf(steps []renaming) []string {
	dirs := make([]string, len(steps))
	for i, s := range steps {
		dirs[i] = a.path(s.from)
	}
	return dirs
}

func (a *account) renameBack(done []renaming) error {
	var errs []error
	for _, s := range slices.Backward(done) {
		errs = append(errs, a.store.fs.Rename(a.path(s.to), a.path(s.from)))
	}
	return errors.Join(errs...)
}

// moved lets an open mailbox follow its directory.
func (a *account) moved(s renaming) {
	a.store.forget(a.path(s.from))
	if s.box == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.boxes, s.from)
	a.boxes[s.to] = s.box
	s.box.at.Store(&place{name: s.name, folder: s.to, dir: a.path(s.to)})
}

// planRename checks everything first: the mailbox, its children, and that none
// of the new names is taken.
func (a *account) planRename(ctx context.Context, from, to string) ([]renaming, error) {
	source, err := folderOf(from)
	if err != nil {
		return nil, err
	}
	switch {
	case to == inbox || to == from:
		return nil, storage.ErrExists
	case isBelow(to, from):
		return nil, fmt.Errorf("%w: below itself", storage.ErrName)
	}
	if err := a.mayRename(ctx, from, source); err != nil {
		return nil, err
	}
	folders, err := a.folders()
	if err != nil {
		return nil, err
	}
	var steps []renaming
	for _, folder := range folders {
		name, _ := nameOf(folder)
		if name != from && !isBelow(name, from) {
			continue
		}
		step, err := a.planStep(folder, to+name[len(from):])
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		return nil, storage.ErrNoMailbox
	}
	return steps, nil
}

// mayRename refuses aliases and what they stand for, and makes a special folder
// that was only promised.
func (a *account) mayRename(ctx context.Context, name, folder string) error {
	kind, _, err := a.look(folder)
	switch {
	case err != nil:
		return err
	case kind == isAlias:
		return fmt.Errorf("%w: an alias", storage.ErrName)
	case kind == isOther:
		return storage.ErrNoMailbox
	case kind == isMissing && a.use(name) != "":
		return a.makeSpecial(ctx, name, folder)
	}
	return a.hasNoAlias(folder)
}

func (a *account) planStep(folder, newName string) (renaming, error) {
	target, err := folderOf(newName)
	if err != nil {
		return renaming{}, err
	}
	kind, _, err := a.look(target)
	if err != nil {
		return renaming{}, err
	}
	if kind != isMissing {
		return renaming{}, storage.ErrExists
	}
	return renaming{from: folder, to: target, name: newName}, nil
}
