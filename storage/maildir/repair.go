package maildir

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/index"
)

// Check implements storage.Account. It looks at the files alone and may run
// beside everybody: a file that goes away meanwhile is no fault, and neither is a
// lock or a file in tmp/ that is not old.
func (h *accountHandle) Check(ctx context.Context) ([]string, error) {
	if err := h.alive(); err != nil {
		return nil, err
	}
	folders, err := h.ownFolders()
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, folder := range folders {
		if err := errors.Join(ctx.Err(), h.alive()); err != nil {
			return nil, err
		}
		faults = append(faults, h.checkFolder(folder), h.checkView(folder))
	}
	// What other processes write is one line; it is not in two counts.
	if err := h.checkUsage(); err != nil {
		faults = append(faults, h.checkUsage())
	}
	return lines(errors.Join(faults...)), nil
}

// lines are the texts of joined errors.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	all := strings.Split(err.Error(), "\n")
	slices.Sort(all)
	return slices.Compact(all)
}

// ownFolders are the folders with messages of their own, "." the first.
func (a *account) ownFolders() ([]string, error) {
	all, err := a.folders()
	if err != nil {
		return nil, err
	}
	own := []string{"."}
	for _, folder := range all {
		kind, _, err := a.look(folder)
		if err != nil {
			return nil, err
		}
		if kind == isFolder {
			own = append(own, folder)
		}
	}
	return own, nil
}

func (a *account) checkFolder(folder string) error {
	c := checker{fs: a.store.fs, dir: a.path(folder), now: a.store.now}
	names, err := c.fs.ReadDirNames(c.dir)
	if err != nil {
		return ignoreMissing(err)
	}
	var errs []error
	for _, sub := range []string{"cur", "new", "tmp"} {
		if !slices.Contains(names, sub) {
			errs = append(errs, fmt.Errorf("%s: %s/ is missing", c.dir, sub))
		}
	}
	if errs == nil {
		errs = append(errs, c.mailbox(), c.temp())
	}
	for _, name := range names {
		info, err := c.fs.Lstat(path.Join(c.dir, name))
		if err == nil && info.Mode().IsRegular() && name != usageFile {
			errs = append(errs, c.entry(name, info))
		}
	}
	return errors.Join(append(errs, a.checkIndex(folder), a.checkValidity(folder))...)
}

// checkView looks at what clients see of a folder that somebody has open.
func (a *account) checkView(folder string) error {
	m := a.opened(folder)
	if m == nil || m.current() == nil {
		return nil
	}
	if err := m.current().view.Check(); err != nil {
		return fmt.Errorf("%s: %w", a.path(folder), err)
	}
	return nil
}

func (a *account) checkIndex(folder string) error {
	name := a.path(path.Join(folder, indexFile))
	data, err := durable.ReadFile(a.store.fs, name)
	if err != nil {
		return ignoreMissing(err)
	}
	if _, err := index.Parse(data); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkValidity holds that a mailbox which is made anew gets another
// UIDVALIDITY than this one.
func (a *account) checkValidity(folder string) error {
	data, err := a.store.readFile(a.path(path.Join(folder, uidListFile)))
	if err != nil {
		return err
	}
	list, err := parseUIDList(data)
	if err != nil {
		return nil //nolint:nilerr // there is none, or checker.list tells
	}
	last, marker, err := a.lastUIDValidity()
	if err == nil && marker != "" && last < list.validity {
		err = fmt.Errorf("%s: UIDVALIDITY %d is above the last that was given out, %d", a.path(folder), list.validity, last)
	}
	return err
}

// checkUsage compares maildirsize, if there is one, with what is there.
func (a *account) checkUsage() error {
	a.usage.moving.Lock()
	defer a.usage.moving.Unlock()
	return ignoreMissing(checker{fs: a.store.fs, dir: a.dir, now: a.store.now}.usage())
}

// Repair implements storage.Account. Most of it is what opening a mailbox does
// anyway.
func (h *accountHandle) Repair(ctx context.Context) error {
	folders, err := h.ownFolders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := h.repairFolder(ctx, folder); err != nil {
			return fmt.Errorf("repair %s: %w", h.path(folder), err)
		}
	}
	if !h.usage.isCounted() {
		return h.usage.abandon()
	}
	return h.usage.recount()
}

func (h *accountHandle) repairFolder(ctx context.Context, folder string) error {
	dir := h.path(folder)
	if err := errors.Join(h.alive(), h.store.makeMaildir(dir), h.dropLocks(dir)); err != nil {
		return err
	}
	if h.checkIndex(folder) != nil && h.opened(folder) == nil {
		if err := h.store.remove(path.Join(dir, indexFile)); err != nil {
			return err
		}
	}
	if err := h.outliveValidity(folder); err != nil {
		return err
	}
	box, err := h.open(folder, folder)
	if err != nil {
		return err
	}
	m := box.(*handle)
	err = m.lookAnew(ctx)
	if err == nil {
		err = m.change(ctx, m.renameMissized)
	}
	if err == nil {
		err = m.lookAnew(ctx)
	}
	m.sweepTemp()
	return errors.Join(err, box.Close())
}

// dropLocks removes what nobody has touched for as long as Dovecot waits.
func (h *accountHandle) dropLocks(dir string) error {
	names, err := h.store.fs.ReadDirNames(dir)
	if err != nil {
		return err
	}
	c := checker{fs: h.store.fs, dir: dir, now: h.store.now}
	for _, name := range names {
		info, err := c.fs.Lstat(path.Join(dir, name))
		if err == nil && info.Mode().IsRegular() && name != usageFile && c.entry(name, info) != nil {
			err = h.store.remove(path.Join(dir, name))
		}
		if ignoreMissing(err) != nil {
			return err
		}
	}
	return nil
}

// renameMissized gives messages whose names tell wrong sizes new names, and so
// new UIDs: what clients hold of them under the old ones may be cut off. Beside
// a daemon those of the last minute are left for another time.
func (h *handle) renameMissized(lock *dotlock) error {
	s := h.current()
	c := checker{fs: h.store.fs, dir: h.place().dir, now: h.store.now}
	for _, f := range s.files {
		if c.sizes(h.path(f.path()), f.base) == nil {
			continue
		}
		info, err := h.lstatIfThere(f.path())
		if err != nil {
			return err
		}
		if info == nil || h.mayBeJournaled(info) {
			continue
		}
		if err := errors.Join(lock.refresh(), h.renameToSize(f)); err != nil {
			return err
		}
	}
	return nil
}

func (h *handle) renameToSize(f file) error {
	r, err := h.store.fs.OpenFile(h.path(f.path()), 0, 0)
	if err != nil {
		return err
	}
	counted, err := h.store.measure(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	now := file{base: h.store.names.next() + counted.tail(), suffix: f.suffix, inNew: f.inNew}
	h.store.log.Warn("a name tells wrong sizes", "mailbox", h.place().dir, "name", f.base, "renamed", now.base)
	h.disk.settled = false
	h.account.usage.enter()
	defer h.account.usage.leave()
	if err := errors.Join(h.keepMoreKeywordsOf(now.base, h.disk.more.of(f.base)), h.renameMessage(f.path(), now.path())); err != nil {
		return err
	}
	h.account.usage.settle(storage.Usage{Bytes: counted.stored - max(nameSizes(f.base).stored, 0)}, storage.Usage{})
	return nil
}
