package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"gomaild/internal/durable"
)

// file is an open file; its fields are guarded by the disk's lock.
type file struct {
	fs     *FS
	node   *inode
	name   string
	flag   int
	offset int64
	closed bool
}

func (f *file) Name() string { return f.name }

// do is the frame of every operation on an open file.
func (f *file) do(kind string, work func() error) error {
	return f.fs.do(kind, f.name, func() error {
		if f.closed {
			return fs.ErrClosed
		}
		return work()
	})
}

func (f *file) mayRead() error {
	switch {
	case f.flag&os.O_WRONLY != 0:
		return syscall.EBADF
	case f.node.meta.mode.IsDir():
		return syscall.EISDIR
	}
	return nil
}

func (f *file) Read(p []byte) (n int, err error) {
	atEnd := false
	err = f.do("read", func() error {
		if err := f.mayRead(); err != nil {
			return err
		}
		n = copyFrom(p, f.node.data, f.offset)
		f.offset += int64(n)
		atEnd = n == 0 && len(p) > 0
		return nil
	})
	if atEnd {
		return 0, io.EOF // bare, as io.Reader wants it
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do("readat", func() error {
		if off < 0 {
			return syscall.EINVAL
		}
		if err := f.mayRead(); err != nil {
			return err
		}
		n = copyFrom(p, f.node.data, off)
		return nil
	})
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, err
}

func copyFrom(p, data []byte, off int64) int {
	if off >= int64(len(data)) {
		return 0
	}
	return copy(p, data[off:])
}

// Write writes p. When an injected error makes it fail, half is written: what
// a full disk does.
func (f *file) Write(p []byte) (n int, err error) { return f.write("write", p, f.append) }

// WriteAt writes p at off, and fails as Write does.
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	return f.write("writeat", p, func(p []byte) int {
		f.node.writeAt(p, off)
		f.node.meta.mtime = f.fs.disk.now()
		return len(p)
	})
}

func (f *file) write(kind string, p []byte, put func([]byte) int) (n int, err error) {
	d := f.fs.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.step(kind, path.Join(f.fs.path, f.name))
	switch {
	case f.closed:
		err = fs.ErrClosed
	case f.flag&(os.O_WRONLY|os.O_RDWR) == 0:
		err = syscall.EBADF
	case err == nil:
		n = put(p)
	case !errors.Is(err, ErrPowerCut):
		n = put(p[:len(p)/2])
	}
	if err != nil {
		return n, &fs.PathError{Op: kind, Path: f.name, Err: err}
	}
	return n, nil
}

// append writes p at the offset of the file, or at its end with O_APPEND.
func (f *file) append(p []byte) int {
	if f.flag&os.O_APPEND != 0 {
		f.offset = int64(len(f.node.data))
	}
	f.node.writeAt(p, f.offset)
	f.node.meta.mtime = f.fs.disk.now()
	f.offset += int64(len(p))
	return len(p)
}

// writeAt keeps the octets that were synced untouched in savedData: only what
// lies beyond them is written in place.
func (n *inode) writeAt(p []byte, off int64) {
	end := off + int64(len(p))
	if off < int64(len(n.savedData)) {
		n.data = slices.Clone(n.data)
	}
	if grow := end - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[off:], p)
}

func (n *inode) resize(d *disk, size int64) {
	if size < int64(len(n.data)) {
		n.truncated = true
		n.data = slices.Clone(n.data[:size])
	} else {
		n.data = append(slices.Clip(n.data), make([]byte, size-int64(len(n.data)))...)
	}
	n.meta.mtime = d.now()
}

func (f *file) Truncate(size int64) error {
	return f.do("truncate", func() error {
		if size < 0 || f.flag&(os.O_WRONLY|os.O_RDWR) == 0 {
			return syscall.EINVAL
		}
		f.node.resize(f.fs.disk, size)
		return nil
	})
}

func (f *file) Sync() error {
	return f.do("sync", func() error {
		if f.node.meta.mode.IsDir() {
			f.node.syncNames()
		} else {
			f.node.sync()
		}
		return nil
	})
}

func (f *file) SyncData() error {
	return f.do("syncdata", func() error {
		f.node.syncData()
		return nil
	})
}

func (f *file) Chown(uid, gid int) error {
	return f.do("chown", func() error {
		f.node.chown(uid, gid)
		return nil
	})
}

// Link gives the file a name.
func (f *file) Link(name string) error {
	return f.fs.do("link", name, func() error {
		if f.closed {
			return fs.ErrClosed
		}
		to, err := f.fs.vacant(name)
		if err == nil {
			to.dir.set(f.fs.disk, to.name, f.node)
		}
		return err
	})
}

func (f *file) Stat() (info fs.FileInfo, err error) {
	err = f.do("filestat", func() error {
		info = f.node.info(path.Base(f.name))
		return nil
	})
	return info, err
}

// TryLock locks the file until Close. A power cut ends all locks.
func (f *file) TryLock() error {
	return f.do("trylock", func() error {
		if f.node.locked != nil && f.node.locked != f {
			return durable.ErrLocked
		}
		f.node.locked = f
		return nil
	})
}

// Close works without power too: it changes nothing on the disk.
func (f *file) Close() error {
	d := f.fs.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	if f.node.locked == f {
		f.node.locked = nil
	}
	d.files--
	return nil
}

// info is a moment's fs.FileInfo. Its Sys is a *syscall.Stat_t with the inode
// number, the owner, the number of links, the size and the times.
type info struct {
	name string
	size int64
	meta meta
	id   uint64
}

func (n *inode) info(name string) fs.FileInfo {
	size := int64(len(n.data))
	if n.meta.mode&fs.ModeSymlink != 0 {
		size = int64(len(n.target))
	}
	return &info{name: name, size: size, meta: n.meta, id: n.id}
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.size }
func (i *info) Mode() fs.FileMode  { return i.meta.mode }
func (i *info) ModTime() time.Time { return i.meta.mtime }
func (i *info) IsDir() bool        { return i.meta.mode.IsDir() }

func (i *info) Sys() any {
	return &syscall.Stat_t{
		Ino:   i.id,
		Nlink: uint64(i.meta.links),
		Uid:   uint32(max(i.meta.uid, 0)),
		Gid:   uint32(max(i.meta.gid, 0)),
		Size:  i.size,
		Atim:  syscall.NsecToTimespec(i.meta.atime.UnixNano()),
		Mtim:  syscall.NsecToTimespec(i.meta.mtime.UnixNano()),
		Ctim:  syscall.NsecToTimespec(i.meta.mtime.UnixNano()),
	}
}
