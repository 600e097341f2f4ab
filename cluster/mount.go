package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"gomaild/internal/durable"
)

// What is wrong with a mount.
var (
	ErrNotMounted = errors.New("nothing is mounted there")
	ErrFileSystem = errors.New("another kind of file system is mounted there")
	ErrReadOnly   = errors.New("it is mounted read-only")
	ErrGone       = errors.New("the mount is gone")
)

// Mount is a mounted file system that has been looked at.
type Mount struct {
	Path   string `json:"path"`   // absolute
	Type   string `json:"type"`   // "ext4"
	Source string `json:"source"` // "/dev/drbd0"
	id     uint64 // the kernel's, of this mounting
	dev    uint64 // of its root directory
	ino    uint64
}

// LookAtMount is the mount whose root directory is path. Errors: ErrNotMounted,
// ErrFileSystem if kind is not "" and another one is there, ErrReadOnly.
func LookAtMount(path, kind string) (*Mount, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	m := &Mount{Path: path}
	isRoot, err := m.ask()
	if err != nil {
		return nil, err
	}
	if !isRoot {
		return nil, fmt.Errorf("%s: %w", path, ErrNotMounted)
	}
	if err := m.describe(); err != nil {
		return nil, err
	}
	if kind != "" && m.Type != kind {
		return nil, fmt.Errorf("%s: %w: %s, not %s", path, ErrFileSystem, m.Type, kind)
	}
	return m, m.writable()
}

// ask fills in what the kernel calls the mount.
func (m *Mount) ask() (isRoot bool, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, m.Path, 0, unix.STATX_INO|unix.STATX_MNT_ID, &st)
	if err != nil {
		return false, &os.PathError{Op: "statx", Path: m.Path, Err: err}
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Mask&unix.STATX_MNT_ID == 0 {
		return false, errors.New("the kernel does not tell what is a mount point; Linux 5.8 does")
	}
	m.id, m.dev, m.ino = st.Mnt_id, unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// describe fills in what the table of mounts says about it.
func (m *Mount) describe() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	e, err := findMount(f, m.id)
	if err != nil {
		return err
	}
	m.Type, m.Source = e.kind, e.source
	return nil
}

func (m *Mount) writable() error {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(m.Path, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "statfs", Path: m.Path, Err: err}
		}
		break
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%s: %w", m.Path, ErrReadOnly)
	}
	return nil
}

// Holds reports whether fsys, opened by the path of the mount, is its root
// directory: between the two looks nothing was mounted or unmounted.
func (m *Mount) Holds(fsys durable.FS) error {
	info, err := fsys.Stat(".")
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || uint64(st.Dev) != m.dev || st.Ino != m.ino { //nolint:unconvert // Dev has other types on other systems
		return fmt.Errorf("%s: %w", m.Path, ErrGone)
	}
	return nil
}

// Check looks again: the same mounting is there, and it can be written. A file of
// it has to be open all the time, or the kernel may have given its number to
// another. Errors: ErrGone, ErrReadOnly, and those of the disk.
func (m *Mount) Check() error {
	now := Mount{Path: m.Path}
	if _, err := now.ask(); err != nil {
		return err
	}
	if now.id != m.id || now.dev != m.dev || now.ino != m.ino {
		return fmt.Errorf("%s: %w", m.Path, ErrGone)
	}
	return m.writable()
}
