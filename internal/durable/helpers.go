package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// WriteFile replaces the file name by one that holds data: after a power cut
// there is either the old content or the new one, and the new one once
// WriteFile has returned. The temporary file is name+".tmp" beside it, so one
// name has one writer at a time; what an earlier crash left there is
// overwritten.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	temp := name + ".tmp"
	if err := writeSynced(fsys, temp, data, perm); err != nil {
		return errors.Join(err, removeIfExists(fsys, temp))
	}
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(err, removeIfExists(fsys, temp))
	}
	return fsys.SyncDir(path.Dir(name))
}

func writeSynced(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

func removeIfExists(fsys FS, name string) error {
	if err := fsys.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RenameOneByOne is FS.RenameIn with one Rename for each name.
func RenameOneByOne(fsys FS, dir string, names []NewName) (done int, err error) {
	for _, n := range names {
		if err := fsys.Rename(path.Join(dir, n.Old), path.Join(dir, n.New)); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// RemoveOneByOne is FS.RemoveIn with one Remove for each name.
func RemoveOneByOne(fsys FS, dir string, names []string) (done int, err error) {
	for _, name := range names {
		if err := fsys.Remove(path.Join(dir, name)); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// ReadFile is the content of a file. The caller knows that it is small, as
// lists and counters are.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// StatEach is FS.StatIn by FS.Stat.
func StatEach(fsys FS, dir string, names []string) ([]fs.FileInfo, error) {
	infos := make([]fs.FileInfo, len(names))
	found := false
	for i, name := range names {
		info, err := fsys.Stat(path.Join(dir, name))
		switch {
		case err == nil:
			infos[i], found = info, true
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if !found {
		if _, err := fsys.Stat(dir); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

// MkdirAll makes a directory and its missing parents, durably. A directory
// that exists may have been made a moment ago by somebody who has not synced
// it yet, so the parents are synced in any case; ask Stat first where it is
// called often.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	name = path.Clean(name)
	if name == "." {
		return nil
	}
	parent := path.Dir(name)
	if err := MkdirAll(fsys, parent, perm); err != nil {
		return err
	}
	if err := mkdirIfMissing(fsys, name, perm); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

func mkdirIfMissing(fsys FS, name string, perm fs.FileMode) error {
	made := fsys.Mkdir(name, perm)
	if !errors.Is(made, fs.ErrExist) {
		return made
	}
	info, err := fsys.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return made
	}
	return nil
}
