package maildir

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"gomaild/storage"
)

// countAccount adds up the messages of all folders of an account. Folders that
// other names stand for count once.
func (s *Store) countAccount(dir string) (storage.Usage, error) {
	a := account{store: s, dir: dir}
	total, err := s.countFolder(dir)
	if err != nil {
		return total, err
	}
	folders, err := a.folders()
	if err != nil {
		return total, err
	}
	for _, folder := range folders {
		info, err := s.fs.Lstat(a.path(folder))
		if err != nil || !info.IsDir() {
			if err = ignoreMissing(err); err != nil {
				return total, err
			}
			continue
		}
		one, err := s.countFolder(a.path(folder))
		if err != nil {
			return total, err
		}
		total = total.Plus(one)
	}
	return total, nil
}

// countFolder adds up what lies in cur/ and new/.
func (s *Store) countFolder(dir string) (storage.Usage, error) {
	var total storage.Usage
	for _, sub := range []string{"cur", "new"} {
		names, err := s.fs.ReadDirNames(path.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			continue
		}
		if err != nil {
			return total, err
		}
		for _, name := range names {
			size, err := s.sizeOf(path.Join(dir, sub), name)
			if err != nil {
				return total, err
			}
			if size >= 0 {
				total = total.Plus(storage.Usage{Bytes: size, Messages: 1})
			}
		}
	}
	return total, nil
}

// sizeOf is the octets of a message file by its name, or by looking; -1 for
// what is no message.
func (s *Store) sizeOf(dir, name string) (int64, error) {
	base, _ := splitName(name)
	if strings.HasPrefix(name, ".") || !isBaseName(base) {
		return -1, nil
	}
	if named := nameSizes(base).stored; named >= 0 {
		return named, nil
	}
	info, err := s.fs.Stat(path.Join(dir, name))
	if err != nil {
		return -1, ignoreMissing(err)
	}
	if !info.Mode().IsRegular() {
		return -1, nil
	}
	return info.Size(), nil
}

// usageOf is what messages take up in their account. Nothing is looked at where
// nobody counts, and of what is gone nothing is said.
func (m *mailbox) usageOf(s *state, uids []storage.UID) (storage.Usage, error) {
	var total storage.Usage
	if !m.account.usage.isCounted() {
		return total, nil
	}
	for _, uid := range uids {
		i, there := s.find(uid)
		if !there {
			continue
		}
		size, err := m.fileSize(s.files[i])
		if err = ignoreMissing(err); err != nil {
			return total, err
		}
		total = total.Plus(storage.Usage{Bytes: size, Messages: 1})
	}
	return total, nil
}

// freed is what a message that goes takes up in the account.
func (m *mailbox) freed(ctx context.Context, r *storage.Replaced) (storage.Usage, error) {
	if r == nil {
		return storage.Usage{}, nil
	}
	from, ok := r.In.(*handle)
	if !ok || from.account != m.account || !m.account.usage.isCounted() {
		return storage.Usage{}, nil
	}
	if _, err := from.View(ctx); err != nil {
		return storage.Usage{}, err
	}
	return from.usageOf(from.current(), []storage.UID{r.UID})
}

// fileSize is what maildirsize counts of a message: the size in its name, or
// that of the file.
func (m *mailbox) fileSize(f file) (int64, error) {
	if named := nameSizes(f.base).stored; named >= 0 || !m.account.usage.isCounted() {
		return max(named, 0), nil
	}
	info, err := m.store.fs.Stat(m.path(f.path()))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
