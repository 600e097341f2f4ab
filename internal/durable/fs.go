// Package durable is the only way to the disk for everything that matters:
// files, directories and the order in which they become safe from a power cut.
//
// Words: an operation has happened when the call returns; it is durable when a
// power cut can no longer undo it. File.Sync makes a file's content durable,
// FS.SyncDir makes the names in a directory durable, and Barrier makes durable
// everything that happened before it was called, for all who wait at once.
// A reply of 250 is only ever sent after one of these.
//
// FS is implemented on a directory tree by Root (every path is resolved below
// one open directory, so a tree that was unmounted or swapped cannot be
// reached) and by package crashfs, which forgets what was not durable.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// ErrLocked is what TryLock returns while somebody else has the lock.
var ErrLocked = errors.New("locked by somebody else")

// FS is a tree of files. Names are slash-separated, relative, and cannot
// leave the tree. Errors are *fs.PathError and work with errors.Is and the
// sentinels of io/fs.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// CreateUnnamed makes a file for writing that has no name yet, in the
	// directory dir, as O_TMPFILE does. File.Link gives it one; without, nothing
	// is left of it when it is closed. errors.ErrUnsupported says that the file
	// system has no such files.
	CreateUnnamed(dir string, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(oldname, newname string) error
	Link(oldname, newname string) error
	Symlink(target, name string) error
	Readlink(name string) (string, error)
	Remove(name string) error
	// RenameIn renames entries of the directory dir in their order, as Rename
	// does, and stops at the first error; done is how many were renamed. RemoveIn
	// does the same as Remove, for files. Where there are many it costs less than
	// one call for each.
	RenameIn(dir string, names []NewName) (done int, err error)
	RemoveIn(dir string, names []string) (done int, err error)
	ReadDirNames(name string) ([]string, error) // unsorted, complete
	ReadDir(name string) ([]Entry, error)       // likewise
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	// StatIn is Stat of names in one directory, for less than each by itself
	// costs. What is not there is nil; fs.ErrNotExist if the directory is missing.
	StatIn(dir string, names ...string) ([]fs.FileInfo, error)
	// ReadInto reads the beginning of a file into buf and returns how much it
	// was: less than len(buf) is all of the file. It is for small files of which
	// many are read, and costs less than OpenFile, ReadAt and Close.
	ReadInto(name string, buf []byte) (n int, err error)
	Chtimes(name string, atime, mtime time.Time) error
	Chown(name string, uid, gid int) error

	// SyncDir makes the names in a directory durable (fsync of the directory).
	SyncDir(name string) error
	// Barrier returns when all that happened in the tree before the call is
	// durable: file contents and names. Calls that wait at the same time share
	// one pass over the disk.
	Barrier() error
	// Sub is the tree below a directory, which must exist. It shares the
	// parent's barrier and must be closed.
	Sub(name string) (FS, error)
	Close() error
}

// Entry is a name in a directory. IsFile says that it is surely a regular file;
// where the file system does not tell, nothing is.
type Entry struct {
	Name   string
	IsFile bool
}

// NewName is an entry of a directory and what it is to be called.
type NewName struct{ Old, New string }

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error // content and size, as fsync(2)
	// SyncData makes content and size durable, not times and owner, as
	// fdatasync(2): for files that are written again and again in place. It is
	// never shared with others.
	SyncData() error
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Chown(uid, gid int) error // -1 leaves the user or the group
	// Link gives a file of CreateUnnamed a name in the tree that made it, which
	// must be free. Like Rename it is durable after SyncDir.
	Link(name string) error
	// TryLock takes the file for this opening of it alone, until Close or the
	// end of the process, as flock(2): who opened the file another time gets
	// ErrLocked, in the same process too. It does not reach other machines.
	TryLock() error
	Name() string
}
