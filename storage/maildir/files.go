package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"gomaild/internal/durable"
)

// Modes of what is made here, as Dovecot's.
const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// own gives a new file or directory to the user who owns the mail.
func (s *Store) own(name string) error {
	if s.uid < 0 && s.gid < 0 {
		return nil
	}
	return s.fs.Chown(name, s.uid, s.gid)
}

// makeMaildir makes the directories of a mailbox with their missing parents;
// what exists is left as it is. Everything is durable when it returns.
func (s *Store) makeMaildir(dir string) error {
	if err := s.makeDirs(dir); err != nil {
		return err
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := s.makeDir(path.Join(dir, sub)); err != nil {
			return err
		}
	}
	if err := s.makeEmpty(path.Join(dir, "maildirfolder")); err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}

func (s *Store) makeDirs(dir string) error {
	info, err := s.fs.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := path.Dir(dir)
	if err := s.makeDirs(parent); err != nil {
		return err
	}
	if err := s.makeDir(dir); err != nil {
		return err
	}
	return s.fs.SyncDir(parent)
}

func (s *Store) makeDir(dir string) error {
	err := s.fs.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.own(dir)
}

func (s *Store) makeEmpty(name string) error {
	f, err := s.fs.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), s.own(name))
}

// writeFile replaces a small file durably.
func (s *Store) writeFile(name string, data []byte) error {
	if err := durable.WriteFile(s.fs, name, data, fileMode); err != nil {
		return err
	}
	return s.own(name)
}

// edit rewrites a file in the way in which Dovecot does it with subscriptions
// and keywords: the lock file is the new file. change gets the content, empty
// if there is none, and returns the new one, nil to leave it.
func (s *Store) edit(ctx context.Context, name string, change func(old string) ([]byte, error)) error {
	lock := name + ".lock"
	f, err := s.locks.create(ctx, lock)
	if err != nil {
		return err
	}
	data, err := s.changed(name, change)
	if err != nil || data == nil {
		return errors.Join(err, f.Close(), s.fs.Remove(lock))
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, s.fs.Remove(lock))
	}
	if err := s.fs.Rename(lock, name); err != nil {
		return errors.Join(err, s.fs.Remove(lock))
	}
	return s.fs.SyncDir(path.Dir(name))
}

func (s *Store) changed(name string, change func(string) ([]byte, error)) ([]byte, error) {
	old, err := s.readFile(name)
	if err != nil {
		return nil, err
	}
	return change(old)
}

// readFile is the content of a file, empty if there is none.
func (s *Store) readFile(name string) (string, error) {
	data, err := durable.ReadFile(s.fs, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// removeAll removes a directory tree; links are removed, never followed.
func (s *Store) removeAll(name string) error {
	info, err := s.fs.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		names, err := s.fs.ReadDirNames(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := s.removeAll(path.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return s.fs.Remove(name)
}

// remove removes a file; one that is gone already is as good.
func (s *Store) remove(name string) error { return ignoreMissing(s.fs.Remove(name)) }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
