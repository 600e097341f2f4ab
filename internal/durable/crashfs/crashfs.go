// Package crashfs is a durable.FS in memory that can lose its power. It
// forgets what a strict POSIX file system may forget, and so shows in a test
// what no test on a real disk can.
//
// What is durable:
//   - a file's content, size, owner and times after File.Sync or Barrier;
//     content and size after File.SyncData;
//   - the names in a directory after SyncDir of that directory, or Barrier;
//     syncing a file does not save its name, nor syncing a directory its own
//     name in its parent;
//   - a rename in one directory is one step. Of a rename between two, both
//     names may be there after SyncDir of the new directory alone, but never
//     neither: when the loss of the old name is durable the new name is too.
//     Journaling file systems promise that much.
//
// Crash returns the tree as it may be after the power cut. How much of the rest
// survived is the parameter: a Survival for the extremes, CrashRandom for
// something in between, where each directory keeps some of its last changes,
// in their order, and each file some of its last writes.
//
// Every operation but Close counts, reading too. CutAfter(n) lets the power fail
// after n operations; Inject makes single operations fail.
package crashfs

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"time"
)

// ErrPowerCut is what every operation returns once the power is off.
var ErrPowerCut = errors.New("power cut")

// Op is one operation, for Inject. Kind is the name of the method in lower
// case: openfile, mkdir, rename, link, symlink, readlink, remove,
// readdirnames, stat, lstat, chtimes, chown, syncdir, barrier, sub; read,
// readat, write, writeat, sync, syncdata, truncate, trylock and filestat for those
// of a file.
type Op struct {
	N    int64 // 1 for the first
	Kind string
	Name string // below the root of the whole tree
}

// Changes reports whether the operation can change what is on the disk, which
// a read-only file system or a full disk refuses. Opening a file counts as
// such only when it may create or truncate it; its Kind is then "create".
func (o Op) Changes() bool {
	switch o.Kind {
	case "create", "mkdir", "rename", "link", "symlink", "remove", "chtimes", "chown", "write", "writeat", "truncate":
		return true
	}
	return false
}

// FS is a tree in memory, or a Sub of one. It is safe for concurrent use.
type FS struct {
	disk *disk
	root *inode
	path string // of root in the whole tree
}

// disk is what a tree and its Subs share.
type disk struct {
	mu     sync.Mutex
	root   *inode
	now    func() time.Time
	nextID uint64
	ops    int64
	cutAt  int64 // operations above it fail; negative for never
	inject func(Op) error
	files  int // open ones
}

// New makes an empty tree.
func New() *FS {
	d := &disk{now: time.Now, cutAt: -1}
	d.root = d.newInode(fs.ModeDir | 0o755)
	d.root.syncMeta()
	return &FS{disk: d, root: d.root, path: "."}
}

// CutAfter lets the next n operations pass; every one after them fails with
// ErrPowerCut and does nothing. A negative n brings the power back.
func (f *FS) CutAfter(n int64) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.cutAt = -1
	if n >= 0 {
		f.disk.cutAt = f.disk.ops + n
	}
}

// Operations is how many operations were tried up to now.
func (f *FS) Operations() int64 {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.ops
}

// OpenFiles is how many files are open, to find those that were forgotten.
func (f *FS) OpenFiles() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.files
}

// Inject asks hook before each operation; an error makes the operation fail
// with it and do nothing, except that a failed write writes half. The hook may
// not use the file system. nil takes it away.
func (f *FS) Inject(hook func(Op) error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.inject = hook
}

// FailNth is a hook for Inject: the n-th operation from now on fails with err
// (syscall.ENOSPC, EIO, ...), all others pass.
func FailNth(n int64, err error) func(Op) error {
	return func(Op) error {
		if n--; n == 0 {
			return err
		}
		return nil
	}
}

// ReadOnly is a hook for Inject: what would change the disk fails with EROFS.
func ReadOnly(o Op) error {
	if o.Changes() {
		return syscall.EROFS
	}
	return nil
}

// Full is a hook for Inject: what would need room fails with ENOSPC.
func Full(o Op) error {
	if o.Changes() && o.Kind != "remove" && o.Kind != "chtimes" && o.Kind != "chown" {
		return syscall.ENOSPC
	}
	return nil
}

// step counts an operation and says whether it may happen. d.mu is held.
func (d *disk) step(kind, name string) error {
	d.ops++
	if d.cutAt >= 0 && d.ops > d.cutAt {
		return ErrPowerCut
	}
	if d.inject == nil {
		return nil
	}
	return d.inject(Op{N: d.ops, Kind: kind, Name: name})
}
