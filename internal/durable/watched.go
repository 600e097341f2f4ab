package durable

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"
)

// diskFaults are the errors that say that the disk or the mount is not what it
// was, and that no retry will mend.
var diskFaults = []error{
	syscall.EIO, syscall.EROFS, syscall.EUCLEAN, syscall.ESTALE,
	syscall.ENXIO, syscall.ENODEV, syscall.ENOMEDIUM, syscall.ESHUTDOWN,
}

// IsDiskFault reports an error of the disk itself: input/output error, read-only
// file system, device gone.
func IsDiskFault(err error) bool {
	return err != nil && slices.ContainsFunc(diskFaults, func(fault error) bool { return errors.Is(err, fault) })
}

// Watched is fsys, and report hears of each IsDiskFault that any operation on it
// or its files returns, before the caller does. It may be called by several at
// once.
func Watched(fsys FS, report func(error)) FS { return &watched{fsys, report} }

type watched struct {
	fs     FS
	report func(error)
}

func (w *watched) see(err error) error {
	if IsDiskFault(err) {
		w.report(err)
	}
	return err
}

func (w *watched) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := w.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, w.see(err)
	}
	return &watchedFile{f, w}, nil
}

func (w *watched) CreateUnnamed(dir string, perm fs.FileMode) (File, error) {
	f, err := w.fs.CreateUnnamed(dir, perm)
	if err != nil {
		return nil, w.see(err)
	}
	return &watchedFile{f, w}, nil
}

func (w *watched) Sub(name string) (FS, error) {
	sub, err := w.fs.Sub(name)
	if err != nil {
		return nil, w.see(err)
	}
	return Watched(sub, w.report), nil
}

func (w *watched) Mkdir(name string, perm fs.FileMode) error { return w.see(w.fs.Mkdir(name, perm)) }

func (w *watched) Rename(oldname, newname string) error { return w.see(w.fs.Rename(oldname, newname)) }

func (w *watched) RenameIn(dir string, names []NewName) (int, error) {
	done, err := w.fs.RenameIn(dir, names)
	return done, w.see(err)
}

func (w *watched) RemoveIn(dir string, names []string) (int, error) {
	done, err := w.fs.RemoveIn(dir, names)
	return done, w.see(err)
}

func (w *watched) Link(oldname, newname string) error { return w.see(w.fs.Link(oldname, newname)) }

func (w *watched) Symlink(target, name string) error { return w.see(w.fs.Symlink(target, name)) }

func (w *watched) Remove(name string) error { return w.see(w.fs.Remove(name)) }

func (w *watched) Chown(name string, uid, gid int) error { return w.see(w.fs.Chown(name, uid, gid)) }

func (w *watched) SyncDir(name string) error { return w.see(w.fs.SyncDir(name)) }

func (w *watched) Barrier() error { return w.see(w.fs.Barrier()) }

func (w *watched) Close() error { return w.see(w.fs.Close()) }

func (w *watched) Chtimes(name string, atime, mtime time.Time) error {
	return w.see(w.fs.Chtimes(name, atime, mtime))
}

func (w *watched) Readlink(name string) (string, error) {
	target, err := w.fs.Readlink(name)
	return target, w.see(err)
}

func (w *watched) ReadDirNames(name string) ([]string, error) {
	names, err := w.fs.ReadDirNames(name)
	return names, w.see(err)
}

func (w *watched) ReadDir(name string) ([]Entry, error) {
	entries, err := w.fs.ReadDir(name)
	return entries, w.see(err)
}

func (w *watched) Stat(name string) (fs.FileInfo, error) {
	info, err := w.fs.Stat(name)
	return info, w.see(err)
}

func (w *watched) Lstat(name string) (fs.FileInfo, error) {
	info, err := w.fs.Lstat(name)
	return info, w.see(err)
}

func (w *watched) StatIn(dir string, names ...string) ([]fs.FileInfo, error) {
	infos, err := w.fs.StatIn(dir, names...)
	return infos, w.see(err)
}

func (w *watched) ReadInto(name string, buf []byte) (int, error) {
	n, err := w.fs.ReadInto(name, buf)
	return n, w.see(err)
}

// watchedFile is an open file of a watched tree.
type watchedFile struct {
	File
	tree *watched
}

// seeRead passes the end of the file on bare and at once.
func (f *watchedFile) seeRead(n int, err error) (int, error) {
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, f.tree.see(err)
}

func (f *watchedFile) Read(p []byte) (int, error) { return f.seeRead(f.File.Read(p)) }

func (f *watchedFile) ReadAt(p []byte, off int64) (int, error) {
	return f.seeRead(f.File.ReadAt(p, off))
}

func (f *watchedFile) Write(p []byte) (int, error) { return f.seeRead(f.File.Write(p)) }

func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	return f.seeRead(f.File.WriteAt(p, off))
}

func (f *watchedFile) Sync() error { return f.tree.see(f.File.Sync()) }

func (f *watchedFile) SyncData() error { return f.tree.see(f.File.SyncData()) }

func (f *watchedFile) Truncate(size int64) error { return f.tree.see(f.File.Truncate(size)) }

func (f *watchedFile) Chown(uid, gid int) error { return f.tree.see(f.File.Chown(uid, gid)) }

func (f *watchedFile) Link(name string) error { return f.tree.see(f.File.Link(name)) }

func (f *watchedFile) Close() error { return f.tree.see(f.File.Close()) }
