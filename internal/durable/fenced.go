package durable

import (
	"io/fs"
	"os"
)

// Fenced is fsys for who may lose the right to it: fence is asked before a file
// is made or opened for writing, and before a name is made, and its error is the
// operation's. Reading, removing and writing to what is open already are not
// held up: a temporary file and a lock can be taken away to the end.
func Fenced(fsys FS, fence func() error) FS { return &fenced{fsys, fence} }

type fenced struct {
	FS
	fence func() error
}

func (f *fenced) check(op, name string) error {
	if err := f.fence(); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (f *fenced) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_APPEND|os.O_TRUNC) != 0 {
		if err := f.check("open", name); err != nil {
			return nil, err
		}
	}
	return f.FS.OpenFile(name, flag, perm)
}

// CreateUnnamed makes a file whose Link is fenced, too.
func (f *fenced) CreateUnnamed(dir string, perm fs.FileMode) (File, error) {
	if err := f.check("create in", dir); err != nil {
		return nil, err
	}
	file, err := f.FS.CreateUnnamed(dir, perm)
	if err != nil {
		return nil, err
	}
	return &fencedFile{file, f}, nil
}

// fencedFile is a file that gets its name later.
type fencedFile struct {
	File
	tree *fenced
}

func (f *fencedFile) Link(name string) error {
	if err := f.tree.check("link", name); err != nil {
		return err
	}
	return f.File.Link(name)
}

func (f *fenced) Rename(oldname, newname string) error {
	if err := f.check("rename", oldname); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

// RenameIn asks once for all names.
func (f *fenced) RenameIn(dir string, names []NewName) (int, error) {
	if err := f.check("rename", dir); err != nil {
		return 0, err
	}
	return f.FS.RenameIn(dir, names)
}

func (f *fenced) Link(oldname, newname string) error {
	if err := f.check("link", newname); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

func (f *fenced) Symlink(target, name string) error {
	if err := f.check("symlink", name); err != nil {
		return err
	}
	return f.FS.Symlink(target, name)
}

func (f *fenced) Mkdir(name string, perm fs.FileMode) error {
	if err := f.check("mkdir", name); err != nil {
		return err
	}
	return f.FS.Mkdir(name, perm)
}

// Sub is fenced as well.
func (f *fenced) Sub(name string) (FS, error) {
	sub, err := f.FS.Sub(name)
	if err != nil {
		return nil, err
	}
	return Fenced(sub, f.fence), nil
}
