package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beneath resolves names below one directory with a single openat2(2), where
// os.Root opens each directory on the way: a delivery makes 15 descriptors that
// way, and a third of the server's own work on a message was in them. The
// kernel holds what os.Root holds, that no name and no link leads out of the
// tree. Only the calls that each delivery makes, or each message of a large
// mailbox, go this way.
type beneath struct {
	dir     *os.File
	conn    syscall.RawConn
	hasProc bool        // there is another way to link what has no name
	byProc  atomic.Bool // and it is the only one
}

// errBeneath means that this way is not open and os.Root has to be asked: an
// old kernel, or a name that needs more than one look.
var errBeneath = errors.New("not to be resolved in one step")

// newBeneath takes dir over.
func newBeneath(dir *os.File) (*beneath, error) {
	conn, err := dir.SyscallConn()
	_, procErr := os.Stat(ownFiles)
	return &beneath{dir: dir, conn: conn, hasProc: procErr == nil}, err
}

func (b *beneath) close() error { return b.dir.Close() }

// open opens name and returns a descriptor.
func (b *beneath) open(name string, flag int, perm fs.FileMode) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   uint64(flag) | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flag&os.O_CREATE != 0 || flag&unix.O_TMPFILE == unix.O_TMPFILE {
		how.Mode = uint64(perm.Perm())
	}
	controlErr := b.conn.Control(func(root uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			fd, err = unix.Openat2(int(root), name, &how)
		}
	})
	switch {
	case controlErr != nil:
		return -1, fs.ErrClosed // the only reason it has
	case err == unix.ENOSYS, err == unix.EPERM, err == unix.EAGAIN, err == unix.EXDEV:
		return -1, errBeneath // os.Root knows the right error, too
	}
	return fd, err
}

// openFile is os.Root.OpenFile.
func (b *beneath) openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	fd, err := b.open(name, flag, perm)
	if err == errBeneath {
		return nil, err
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// stat is os.Root.Stat, and with O_NOFOLLOW os.Root.Lstat.
func (b *beneath) stat(name string, flag int) (fs.FileInfo, error) {
	f, err := b.openFile(name, unix.O_PATH|flag, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

// statIn is stat of names in a directory, nil for one that is not there.
func (b *beneath) statIn(dir string, names []string) ([]fs.FileInfo, error) {
	at, err := b.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	switch {
	case err == errBeneath:
		return nil, err
	case err != nil:
		return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	defer unix.Close(at)
	infos := make([]fs.FileInfo, len(names))
	found := make([]info, len(names))
	for i, name := range names {
		if !isPlain(name) || path.Base(name) != name {
			return nil, errBeneath
		}
		var st unix.Stat_t
		switch err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
		case err == unix.ENOENT:
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "stat", Path: path.Join(dir, name), Err: err}
		case st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Mode&unix.S_IFMT != unix.S_IFREG:
			return nil, errBeneath // a link may lead anywhere
		}
		found[i] = newInfo(name, &st)
		infos[i] = &found[i]
	}
	return infos, nil
}

// info is what is known of a file or directory.
type info struct {
	name string
	sys  syscall.Stat_t
}

func newInfo(name string, st *unix.Stat_t) info {
	i := info{name: name}
	i.sys.Dev, i.sys.Ino, i.sys.Nlink, i.sys.Mode = st.Dev, st.Ino, st.Nlink, st.Mode
	i.sys.Uid, i.sys.Gid, i.sys.Size = st.Uid, st.Gid, st.Size
	i.sys.Mtim, i.sys.Ctim = syscall.Timespec(st.Mtim), syscall.Timespec(st.Ctim)
	return i
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.sys.Size }
func (i *info) ModTime() time.Time { return time.Unix(i.sys.Mtim.Unix()) }
func (i *info) IsDir() bool        { return i.sys.Mode&syscall.S_IFMT == syscall.S_IFDIR }
func (i *info) Sys() any           { return &i.sys }

// Mode knows files and directories.
func (i *info) Mode() fs.FileMode {
	mode := fs.FileMode(i.sys.Mode) & fs.ModePerm
	if i.IsDir() {
		mode |= fs.ModeDir
	}
	return mode
}

// readInto reads the beginning of a file.
func (b *beneath) readInto(name string, buf []byte) (n int, err error) {
	fd, err := b.open(name, unix.O_RDONLY, 0)
	if err == nil {
		n, err = readFull(fd, buf)
		unix.Close(fd)
	}
	if err != nil && err != errBeneath {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return n, err
}

// maxRead is read with one call; the kernel's own limit is above it.
const maxRead = 1 << 30

// readFull fills buf as far as the file goes.
func readFull(fd int, buf []byte) (n int, err error) {
	for n < len(buf) {
		want := min(len(buf)-n, maxRead)
		m, err := unix.Read(fd, buf[n:n+want])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		}
		if n += m; m < want {
			break // of a file only the end is short
		}
	}
	return n, nil
}

// ownFiles is where a process finds what it has open.
const ownFiles = "/proc/self/fd"

// createUnnamed makes a file without a name, if it can be given one later.
func (b *beneath) createUnnamed(dir string, perm fs.FileMode) (*os.File, error) {
	if !b.hasProc {
		return nil, &fs.PathError{Op: "create in", Path: dir, Err: errors.ErrUnsupported}
	}
	fd, err := b.open(dir, unix.O_TMPFILE|os.O_WRONLY, perm)
	switch {
	case err == errBeneath, err == unix.EOPNOTSUPP, err == unix.EISDIR, err == unix.EINVAL:
		err = errors.ErrUnsupported
	case err == nil:
		return os.NewFile(uintptr(fd), dir), nil
	}
	return nil, &fs.PathError{Op: "create in", Path: dir, Err: err}
}

// name names a file of createUnnamed. Before Linux 6.10 the short way is closed
// to who may not read every file.
func (b *beneath) name(f *os.File, name string) error {
	if !isPlain(name) {
		return &fs.PathError{Op: "link", Path: name, Err: fs.ErrInvalid}
	}
	to, err := b.parent("link", name)
	if err == errBeneath {
		err = &fs.PathError{Op: "link", Path: name, Err: unix.EAGAIN}
	}
	if err != nil {
		return err
	}
	defer unix.Close(to)
	err = withDescriptor(f, func(fd int) error {
		if !b.byProc.Load() {
			err := unix.Linkat(fd, "", to, path.Base(name), unix.AT_EMPTY_PATH)
			if err != unix.ENOENT {
				return err
			}
		}
		err := unix.Linkat(unix.AT_FDCWD, ownFiles+"/"+strconv.Itoa(fd), to, path.Base(name), unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			b.byProc.Store(true)
		}
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "link", Path: name, Err: err}
	}
	return nil
}

// rename is os.Root.Rename.
func (b *beneath) rename(oldname, newname string) error {
	if !isPlain(oldname) || !isPlain(newname) {
		return errBeneath
	}
	from, err := b.parent("rename", oldname)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to := from
	if path.Dir(newname) != path.Dir(oldname) {
		if to, err = b.parent("rename", newname); err != nil {
			return err
		}
		defer unix.Close(to)
	}
	if err := unix.Renameat(from, path.Base(oldname), to, path.Base(newname)); err != nil {
		return &fs.PathError{Op: "rename", Path: oldname + " -> " + newname, Err: err}
	}
	return nil
}

// link is os.Root.Link.
func (b *beneath) link(oldname, newname string) error {
	if !isPlain(oldname) || !isPlain(newname) {
		return errBeneath
	}
	from, err := b.parent("link", oldname)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := b.parent("link", newname)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	if err := unix.Linkat(from, path.Base(oldname), to, path.Base(newname), 0); err != nil {
		return &fs.PathError{Op: "link", Path: oldname + " -> " + newname, Err: err}
	}
	return nil
}

// remove is os.Root.Remove for a file; of a directory os.Root has to be asked.
func (b *beneath) remove(name string) error {
	if !isPlain(name) {
		return errBeneath
	}
	dir, err := b.parent("remove", name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	switch err := unix.Unlinkat(dir, path.Base(name), 0); err {
	case nil:
		return nil
	case unix.EISDIR, unix.EPERM:
		return errBeneath
	default:
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
}

// renameIn is FS.RenameIn. After errBeneath the rest is to be done otherwise.
func (b *beneath) renameIn(dir string, names []NewName) (done int, err error) {
	fd, err := b.openDir("rename", dir)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for _, n := range names {
		if !isEntry(n.Old) || !isEntry(n.New) {
			return done, errBeneath
		}
		if err := unix.Renameat(fd, n.Old, fd, n.New); err != nil {
			return done, &fs.PathError{Op: "rename", Path: path.Join(dir, n.Old) + " -> " + n.New, Err: err}
		}
		done++
	}
	return done, nil
}

// removeIn is FS.RemoveIn. After errBeneath the rest is to be done otherwise.
func (b *beneath) removeIn(dir string, names []string) (done int, err error) {
	fd, err := b.openDir("remove", dir)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for _, name := range names {
		if !isEntry(name) {
			return done, errBeneath
		}
		switch err := unix.Unlinkat(fd, name, 0); err {
		case nil:
			done++
		case unix.EISDIR, unix.EPERM:
			return done, errBeneath
		default:
			return done, &fs.PathError{Op: "remove", Path: path.Join(dir, name), Err: err}
		}
	}
	return done, nil
}

// list is FS.ReadDir. The names that one system call returns share one string.
func (b *beneath) list(name string) ([]Entry, error) {
	fd, err := b.open(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == errBeneath {
		return nil, err
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var l listing
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
		case n == 0:
			return l.entries, nil
		default:
			l.take(buf[:n])
		}
	}
}

// listing is a directory that is being read.
type listing struct {
	entries []Entry
	names   []byte // of one call, one behind the other
	lengths []int
}

// Where things are in a struct linux_dirent64, getdents64(2).
const (
	direntLength = 16 // of the record, two octets
	direntType   = 18
	direntName   = 19 // ends with a zero
)

// take adds what one call returned.
func (l *listing) take(records []byte) {
	l.names, l.lengths = l.names[:0], l.lengths[:0]
	first := len(l.entries)
	for len(records) > direntName {
		record := records[:binary.NativeEndian.Uint16(records[direntLength:])]
		records = records[len(record):]
		name, _, _ := bytes.Cut(record[direntName:], []byte{0})
		if string(name) == "." || string(name) == ".." {
			continue
		}
		l.entries = append(l.entries, Entry{IsFile: record[direntType] == unix.DT_REG})
		l.names, l.lengths = append(l.names, name...), append(l.lengths, len(name))
	}
	rest := string(l.names)
	for i, n := range l.lengths {
		l.entries[first+i].Name, rest = rest[:n], rest[n:]
	}
}

// parent opens the directory that name is in, to name things in it only.
func (b *beneath) parent(op, name string) (fd int, err error) {
	fd, err = b.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil && err != errBeneath {
		err = &fs.PathError{Op: op, Path: name, Err: err}
	}
	return fd, err
}

// openDir is parent for a directory that is named itself.
func (b *beneath) openDir(op, dir string) (fd int, err error) {
	return b.parent(op, path.Join(dir, ".x"))
}

// isEntry reports whether a name is that of an entry of one directory.
func isEntry(name string) bool { return isPlain(name) && strings.IndexByte(name, '/') < 0 }

// isPlain reports whether the last part of a name is the name of an entry.
func isPlain(name string) bool { return fs.ValidPath(name) && name != "." }
