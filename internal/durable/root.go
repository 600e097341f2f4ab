package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Root is a tree on a real disk. It must lie in one file system: a Barrier
// reaches no other that is mounted below it, unless Sub opened that mount.
//
// Many callers of File.Sync and SyncDir at once share passes over the disk as
// those of Barrier do; nobody needs to choose. After an input/output error of
// the disk each later Sync, SyncDir and Barrier of the tree fails until it is
// opened anew, because nobody can tell what else was lost.
type Root struct {
	root    *os.Root
	beneath *beneath
	commits *commits
	device  uint64 // st_dev
	parent  *Root  // nil for one of OpenRoot

	mu     sync.Mutex
	open   map[io.Closer]struct{} // files and Subs
	closed bool
}

var _ FS = (*Root)(nil)

// OpenRoot opens the tree below the directory path.
func OpenRoot(path string) (*Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return newRoot(root, nil)
}

// newRoot takes root over. A Sub shares the commits of its parent if both are
// in one file system.
func newRoot(root *os.Root, parent *Root) (*Root, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	r := &Root{root: root, parent: parent, open: map[io.Closer]struct{}{}}
	if r.beneath, err = newBeneath(dir); err == nil {
		r.device, err = device(dir)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close(), root.Close())
	}
	if parent != nil && parent.device == r.device {
		r.commits = parent.commits
		return r, nil
	}
	own, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, dir.Close(), root.Close())
	}
	r.commits = newCommits(own)
	return r, nil
}

func device(dir *os.File) (uint64, error) {
	info, err := dir.Stat()
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, &fs.PathError{Op: "stat", Path: dir.Name(), Err: errors.ErrUnsupported}
	}
	return uint64(st.Dev), nil //nolint:unconvert // Dev has other types on other systems
}

// Err is the error that broke the tree's file system, nil while it is sound.
// It asks no disk.
func (r *Root) Err() error { return r.commits.state() }

// OpenFile opens a file; the flags are those of package os.
func (r *Root) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.beneath.openFile(name, flag, perm)
	if err == errBeneath {
		f, err = r.root.OpenFile(name, flag, perm)
	}
	if err != nil {
		return nil, err
	}
	opened := &file{File: f, root: r, name: name}
	if !r.keep(opened.File) {
		return nil, errors.Join(closedError("open", name), f.Close())
	}
	return opened, nil
}

// CreateUnnamed makes a file without a name.
func (r *Root) CreateUnnamed(dir string, perm fs.FileMode) (File, error) {
	f, err := r.beneath.createUnnamed(dir, perm)
	if err != nil {
		return nil, err
	}
	if !r.keep(f) {
		return nil, errors.Join(closedError("create in", dir), f.Close())
	}
	return &file{File: f, root: r, name: dir}, nil
}

// keep notes an open thing for Close; false when Close was already called.
func (r *Root) keep(c io.Closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.open[c] = struct{}{}
	}
	return !r.closed
}

func (r *Root) drop(c io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

func closedError(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrClosed}
}

// Mkdir makes one directory.
func (r *Root) Mkdir(name string, perm fs.FileMode) error { return r.root.Mkdir(name, perm) }

// Rename renames, replacing what has the new name.
func (r *Root) Rename(oldname, newname string) error {
	if err := r.beneath.rename(oldname, newname); err != errBeneath {
		return err
	}
	return pathError(r.root.Rename(oldname, newname))
}

// Link makes a hard link.
func (r *Root) Link(oldname, newname string) error {
	if err := r.beneath.link(oldname, newname); err != errBeneath {
		return err
	}
	return pathError(r.root.Link(oldname, newname))
}

// Symlink makes a symbolic link. A target outside of the tree can be written,
// not followed.
func (r *Root) Symlink(target, name string) error { return pathError(r.root.Symlink(target, name)) }

// pathError turns the error of two names into that of one, as FS promises.
func pathError(err error) error {
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: link.Op, Path: link.Old + " -> " + link.New, Err: link.Err}
	}
	return err
}

// Readlink is the target of a symbolic link.
func (r *Root) Readlink(name string) (string, error) { return r.root.Readlink(name) }

// Remove removes a file or an empty directory.
func (r *Root) Remove(name string) error {
	if err := r.beneath.remove(name); err != errBeneath {
		return err
	}
	return r.root.Remove(name)
}

// RenameIn renames entries of a directory.
func (r *Root) RenameIn(dir string, names []NewName) (int, error) {
	done, err := r.beneath.renameIn(dir, names)
	if err != errBeneath {
		return done, err
	}
	more, err := RenameOneByOne(r, dir, names[done:])
	return done + more, err
}

// RemoveIn removes files of a directory.
func (r *Root) RemoveIn(dir string, names []string) (int, error) {
	done, err := r.beneath.removeIn(dir, names)
	if err != errBeneath {
		return done, err
	}
	more, err := RemoveOneByOne(r, dir, names[done:])
	return done + more, err
}

// ReadDirNames lists a directory.
func (r *Root) ReadDirNames(name string) ([]string, error) {
	dir, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}

// ReadDir lists a directory with what its entries are.
func (r *Root) ReadDir(name string) ([]Entry, error) {
	entries, err := r.beneath.list(name)
	if err != errBeneath {
		return entries, err
	}
	names, err := r.ReadDirNames(name)
	for _, n := range names {
		entries = append(entries, Entry{Name: n})
	}
	return entries, err
}

// Stat follows symbolic links.
func (r *Root) Stat(name string) (fs.FileInfo, error) {
	info, err := r.beneath.stat(name, 0)
	if err == errBeneath {
		return r.root.Stat(name)
	}
	return info, err
}

// Lstat does not follow symbolic links.
func (r *Root) Lstat(name string) (fs.FileInfo, error) {
	info, err := r.beneath.stat(name, syscall.O_NOFOLLOW)
	if err == errBeneath {
		return r.root.Lstat(name)
	}
	return info, err
}

// StatIn looks at several names in a directory.
func (r *Root) StatIn(dir string, names ...string) ([]fs.FileInfo, error) {
	infos, err := r.beneath.statIn(dir, names)
	if err == errBeneath {
		return StatEach(r, dir, names)
	}
	return infos, err
}

// ReadInto reads the beginning of a file.
func (r *Root) ReadInto(name string, buf []byte) (int, error) {
	n, err := r.beneath.readInto(name, buf)
	if err != errBeneath {
		return n, err
	}
	f, err := r.root.Open(name)
	if err != nil {
		return 0, err
	}
	n, err = io.ReadFull(f, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, errors.Join(err, f.Close())
}

// Chtimes sets the times of a file.
func (r *Root) Chtimes(name string, atime, mtime time.Time) error {
	return r.root.Chtimes(name, atime, mtime)
}

// Chown sets the owner of a file; -1 leaves the user or the group.
func (r *Root) Chown(name string, uid, gid int) error { return r.root.Chown(name, uid, gid) }

// SyncDir makes the names in a directory durable.
func (r *Root) SyncDir(name string) error {
	dir, err := r.openDir(name)
	if err != nil {
		return err
	}
	if !r.keep(dir) {
		return errors.Join(closedError("syncdir", name), dir.Close())
	}
	defer r.drop(dir)
	err = r.commits.commit(dir.Sync)
	return errors.Join(syncError("syncdir", name, err), ignoreClosed(dir.Close()))
}

// openDir opens a directory, for its entries to be synced.
func (r *Root) openDir(name string) (*os.File, error) {
	dir, err := r.beneath.openFile(name, syscall.O_DIRECTORY, 0)
	if err == errBeneath {
		dir, err = r.root.OpenFile(name, syscall.O_DIRECTORY, 0)
	}
	return dir, err
}

// Barrier makes durable all that happened in the tree before the call.
func (r *Root) Barrier() error { return syncError("barrier", ".", r.commits.barrier()) }

func syncError(op, name string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok || err == nil {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Sub opens the tree below a directory.
func (r *Root) Sub(name string) (FS, error) {
	if info, err := r.root.Stat(name); err == nil && !info.IsDir() { // package os has no errno for it
		return nil, &fs.PathError{Op: "sub", Path: name, Err: syscall.ENOTDIR}
	}
	root, err := r.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	sub, err := newRoot(root, r)
	if err != nil {
		return nil, err
	}
	if !r.keep(sub) {
		return nil, errors.Join(closedError("sub", name), sub.Close())
	}
	return sub, nil
}

// Close closes the tree. It waits for Sync, SyncDir and Barrier in progress,
// and closes the files and Subs that are still open: when it returns nothing
// holds the mount. Those who read and write have stopped before.
func (r *Root) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return closedError("close", ".")
	}
	r.closed = true
	left := r.open
	r.open = nil
	r.mu.Unlock()

	var errs []error
	for c := range left {
		errs = append(errs, ignoreClosed(c.Close()))
	}
	if r.parent != nil {
		r.parent.drop(r)
	}
	if r.parent == nil || r.parent.commits != r.commits {
		errs = append(errs, r.commits.close())
	}
	return errors.Join(append(errs, r.beneath.close(), r.root.Close())...)
}

// ignoreClosed forgives that another goroutine closed the same thing first.
func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// file is an open file of a Root.
type file struct {
	*os.File
	root   *Root
	name   string // below the root
	locked atomic.Bool
}

func (f *file) Name() string { return f.name }

func (f *file) Sync() error {
	return syncError("sync", f.name, f.root.commits.commit(f.File.Sync))
}

func (f *file) SyncData() error {
	return syncError("syncdata", f.name, f.root.commits.own(func() error { return fdatasync(f.File) }))
}

func (f *file) Link(name string) error { return f.root.beneath.name(f.File, name) }

func (f *file) TryLock() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := conn.Control(func(fd uintptr) {
		err = unix.EINTR
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
		}
	})
	switch {
	case controlErr != nil:
		err = fs.ErrClosed // the only reason it has
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrLocked
	case err == nil:
		f.locked.Store(true)
	}
	return syncError("lock", f.name, err)
}

// Close gives the lock back by name: a child that another goroutine just forked
// has the same opening until it executes its program, and with it the lock.
func (f *file) Close() error {
	f.root.drop(f.File)
	if f.locked.Swap(false) {
		if conn, err := f.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) })
		}
	}
	return f.File.Close()
}
