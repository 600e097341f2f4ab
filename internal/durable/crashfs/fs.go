package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"gomaild/internal/durable"
)

var (
	_ durable.FS   = (*FS)(nil)
	_ durable.File = (*file)(nil)
)

// errEscapes is for names that lead out of the tree.
var errEscapes = errors.New("path escapes from parent")

// maxLinks is how many symbolic links one name may lead through, as in Linux.
const maxLinks = 40

func sortedNames(names map[string]*inode) []string {
	return slices.Sorted(maps.Keys(names))
}

// do is the frame of every operation: lock, count, and name the error.
func (f *FS) do(kind, name string, work func() error) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.step(kind, path.Join(f.path, name))
	if err == nil {
		err = work()
	}
	if err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

// place is where a name is, or would be.
type place struct {
	dir  *inode
	name string // "" for the root itself
	node *inode // nil if there is none
}

// locate walks to a name. follow says whether a symbolic link at the end is
// followed too.
func (f *FS) locate(name string, follow bool) (place, error) {
	if name == "" {
		return place{}, fs.ErrNotExist
	}
	if strings.HasPrefix(name, "/") {
		return place{}, errEscapes
	}
	w := walk{above: []*inode{f.root}, rest: strings.Split(strings.TrimRight(name, "/"), "/"), follow: follow}
	return w.run()
}

// walk is one look-up; above are the directories from the root to the present
// one.
type walk struct {
	above  []*inode
	rest   []string
	links  int
	follow bool
}

func (w *walk) run() (place, error) {
	for len(w.rest) > 0 {
		part := w.rest[0]
		w.rest = w.rest[1:]
		if found, err := w.step(part); found != nil || err != nil {
			return *orEmpty(found), err
		}
	}
	return place{node: w.here()}, nil
}

func orEmpty(p *place) *place {
	if p == nil {
		return &place{}
	}
	return p
}

func (w *walk) here() *inode { return w.above[len(w.above)-1] }

// step goes down one part of the name; a place ends the walk.
func (w *walk) step(part string) (*place, error) {
	switch part {
	case "", ".":
		return nil, nil
	case "..":
		if len(w.above) == 1 {
			return nil, errEscapes
		}
		w.above = w.above[:len(w.above)-1]
		return nil, nil
	}
	node := w.here().names[part]
	last := len(w.rest) == 0
	switch {
	case node == nil && !last:
		return nil, fs.ErrNotExist
	case node != nil && node.meta.mode&fs.ModeSymlink != 0 && (!last || w.follow):
		return nil, w.jump(node.target)
	case last:
		return &place{w.here(), part, node}, nil
	case !node.meta.mode.IsDir():
		return nil, syscall.ENOTDIR
	}
	w.above = append(w.above, node)
	return nil, nil
}

func (w *walk) jump(target string) error {
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	if strings.HasPrefix(target, "/") {
		return errEscapes
	}
	w.rest = append(strings.Split(target, "/"), w.rest...)
	return nil
}

// existing is the node of a name.
func (f *FS) existing(name string, follow bool) (place, error) {
	p, err := f.locate(name, follow)
	if err == nil && p.node == nil {
		err = fs.ErrNotExist
	}
	return p, err
}

// vacant is the place for a new name.
func (f *FS) vacant(name string) (place, error) {
	p, err := f.locate(name, false)
	if err == nil && p.node != nil {
		err = fs.ErrExist
	}
	return p, err
}

// directory is the directory of a name.
func (f *FS) directory(name string) (*inode, error) {
	p, err := f.existing(name, true)
	if err == nil && !p.node.meta.mode.IsDir() {
		err = syscall.ENOTDIR
	}
	return p.node, err
}

// Mkdir makes one directory.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.do("mkdir", name, func() error {
		p, err := f.vacant(name)
		if err == nil {
			p.dir.set(f.disk, p.name, f.disk.newInode(fs.ModeDir|perm.Perm()))
		}
		return err
	})
}

// Rename renames, replacing what has the new name.
func (f *FS) Rename(oldname, newname string) error {
	return f.do("rename", oldname, func() error {
		from, err := f.existing(oldname, false)
		if err != nil {
			return err
		}
		to, err := f.locate(newname, false)
		if err != nil {
			return err
		}
		if err := mayRename(from, to); err != nil || from.node == to.node {
			return err
		}
		added := to.dir.set(f.disk, to.name, from.node)
		removed := from.dir.set(f.disk, from.name, nil)
		removed.with = added
		added.joined = to.dir == from.dir
		return nil
	})
}

func mayRename(from, to place) error {
	switch {
	case from.name == "" || to.name == "":
		return syscall.EBUSY
	case from.node.contains(to.dir):
		return syscall.EINVAL
	case to.node == nil:
		return nil
	case to.node.meta.mode.IsDir() && !from.node.meta.mode.IsDir():
		return syscall.EISDIR
	case from.node.meta.mode.IsDir() && !to.node.meta.mode.IsDir():
		return syscall.ENOTDIR
	case len(to.node.names) > 0:
		return syscall.ENOTEMPTY
	}
	return nil
}

// contains reports whether dir is n or below it.
func (n *inode) contains(dir *inode) bool {
	if n == dir {
		return true
	}
	for _, child := range n.names {
		if child.meta.mode.IsDir() && child.contains(dir) {
			return true
		}
	}
	return false
}

// Link makes a hard link.
func (f *FS) Link(oldname, newname string) error {
	return f.do("link", newname, func() error {
		from, err := f.existing(oldname, false)
		if err != nil {
			return err
		}
		if from.node.meta.mode.IsDir() {
			return syscall.EPERM
		}
		to, err := f.vacant(newname)
		if err == nil {
			to.dir.set(f.disk, to.name, from.node)
		}
		return err
	})
}

// Symlink makes a symbolic link.
func (f *FS) Symlink(target, name string) error {
	return f.do("symlink", name, func() error {
		p, err := f.vacant(name)
		if err != nil {
			return err
		}
		link := f.disk.newInode(fs.ModeSymlink | 0o777)
		link.target = target
		link.syncMeta() // nobody can sync a link: where its name survives, so does the link
		p.dir.set(f.disk, p.name, link)
		return nil
	})
}

// Readlink is the target of a symbolic link.
func (f *FS) Readlink(name string) (target string, err error) {
	err = f.do("readlink", name, func() error {
		p, err := f.existing(name, false)
		if err == nil && p.node.meta.mode&fs.ModeSymlink == 0 {
			err = syscall.EINVAL
		}
		if err == nil {
			target = p.node.target
		}
		return err
	})
	return target, err
}

// Remove removes a file or an empty directory.
func (f *FS) Remove(name string) error {
	return f.do("remove", name, func() error {
		p, err := f.existing(name, false)
		switch {
		case err != nil:
			return err
		case p.name == "":
			return syscall.EBUSY
		case len(p.node.names) > 0:
			return syscall.ENOTEMPTY
		}
		p.dir.set(f.disk, p.name, nil)
		return nil
	})
}

// RenameIn renames one after the other: the power can fail between any two.
func (f *FS) RenameIn(dir string, names []durable.NewName) (int, error) {
	return durable.RenameOneByOne(f, dir, names)
}

// RemoveIn removes one after the other, likewise.
func (f *FS) RemoveIn(dir string, names []string) (int, error) {
	return durable.RemoveOneByOne(f, dir, names)
}

// ReadDirNames lists a directory.
func (f *FS) ReadDirNames(name string) (names []string, err error) {
	err = f.do("readdirnames", name, func() error {
		dir, err := f.directory(name)
		if err == nil {
			names = sortedNames(dir.names)
		}
		return err
	})
	return names, err
}

// ReadDir lists a directory with what its entries are.
func (f *FS) ReadDir(name string) (entries []durable.Entry, err error) {
	err = f.do("readdirnames", name, func() error {
		dir, err := f.directory(name)
		if err != nil {
			return err
		}
		for _, n := range sortedNames(dir.names) {
			entries = append(entries, durable.Entry{Name: n, IsFile: dir.names[n].meta.mode.IsRegular()})
		}
		return nil
	})
	return entries, err
}

// Stat follows symbolic links.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat does not follow symbolic links.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

// StatIn looks at several names in a directory.
func (f *FS) StatIn(dir string, names ...string) ([]fs.FileInfo, error) {
	return durable.StatEach(f, dir, names)
}

// ReadInto reads the beginning of a file.
func (f *FS) ReadInto(name string, buf []byte) (int, error) {
	opened, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	n, err := opened.ReadAt(buf, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, errors.Join(err, opened.Close())
}

func (f *FS) stat(kind, name string, follow bool) (info fs.FileInfo, err error) {
	err = f.do(kind, name, func() error {
		p, err := f.existing(name, follow)
		if err == nil {
			info = p.node.info(path.Base(name))
		}
		return err
	})
	return info, err
}

// Chtimes sets the times of a file; a zero time stays as it is.
func (f *FS) Chtimes(name string, atime, mtime time.Time) error {
	return f.do("chtimes", name, func() error {
		p, err := f.existing(name, true)
		if err != nil {
			return err
		}
		if !atime.IsZero() {
			p.node.meta.atime = atime
		}
		if !mtime.IsZero() {
			p.node.meta.mtime = mtime
		}
		return nil
	})
}

// Chown sets the owner of a file; -1 leaves the user or the group.
func (f *FS) Chown(name string, uid, gid int) error {
	return f.do("chown", name, func() error {
		p, err := f.existing(name, true)
		if err == nil {
			p.node.chown(uid, gid)
		}
		return err
	})
}

func (n *inode) chown(uid, gid int) {
	if uid != -1 {
		n.meta.uid = uid
	}
	if gid != -1 {
		n.meta.gid = gid
	}
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(name string) error {
	return f.do("syncdir", name, func() error {
		dir, err := f.directory(name)
		if err == nil {
			dir.syncNames()
		}
		return err
	})
}

// Barrier makes the whole tree durable.
func (f *FS) Barrier() error {
	return f.do("barrier", ".", func() error {
		f.disk.root.syncAll()
		return nil
	})
}

// Sub is the tree below a directory.
func (f *FS) Sub(name string) (durable.FS, error) {
	var sub *FS
	err := f.do("sub", name, func() error {
		dir, err := f.directory(name)
		sub = &FS{disk: f.disk, root: dir, path: path.Join(f.path, name)}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sub, nil
}

// Close does nothing: the tree is in memory. It is no operation.
func (f *FS) Close() error { return nil }

// OpenFile opens a file; the flags are those of package os.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	kind := "openfile"
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		kind = "create"
	}
	var opened *file
	err := f.do(kind, name, func() error {
		node, err := f.open(name, flag, perm)
		if err == nil {
			f.disk.files++
			opened = &file{fs: f, node: node, name: name, flag: flag}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// CreateUnnamed makes a file without a name.
func (f *FS) CreateUnnamed(dir string, perm fs.FileMode) (durable.File, error) {
	var opened *file
	err := f.do("create", dir, func() error {
		_, err := f.directory(dir)
		if err == nil {
			f.disk.files++
			opened = &file{fs: f, node: f.disk.newInode(perm.Perm()), name: dir, flag: os.O_WRONLY}
			opened.node.unnamed = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

func (f *FS) open(name string, flag int, perm fs.FileMode) (*inode, error) {
	p, err := f.locate(name, flag&os.O_EXCL == 0)
	if err != nil {
		return nil, err
	}
	switch writes := flag&(os.O_WRONLY|os.O_RDWR) != 0; {
	case p.node == nil && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case p.node == nil:
		p.node = f.disk.newInode(perm.Perm())
		p.dir.set(f.disk, p.name, p.node)
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	case p.node.meta.mode&fs.ModeSymlink != 0:
		return nil, syscall.ELOOP
	case p.node.meta.mode.IsDir() && writes:
		return nil, syscall.EISDIR
	}
	if flag&os.O_TRUNC != 0 && len(p.node.data) > 0 {
		p.node.resize(f.disk, 0)
	}
	return p.node, nil
}
