package maildir

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// What others do in new/ and cur/ of a mailbox in which somebody waits is heard
// of through inotify(7), where the mail root is a directory that the kernel
// watches (Config.Notify). A mailbox for which there is no watch to be had is
// looked at each second, and all of them now and then: an event only says that
// a look is worth it, so that nothing depends on it.

// maxWatched bounds the mailboxes that are watched, with two watches each. The
// kernel bounds them too (fs.inotify.max_user_watches).
const maxWatched = 16384

// watchedEvents are the changes by which a message comes, goes or gets flags.
const watchedEvents = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ONLYDIR

// watcher is the one inotify instance of a store. A nil watcher watches nothing.
type watcher struct {
	root  string
	file  *os.File
	found chan map[*mailbox]struct{} // what events are about

	mu     sync.Mutex
	boxes  map[int32]*mailbox // by watch descriptor
	counts map[*mailbox][]int32
	limit  int // of mailboxes
}

// newWatcher is nil where inotify cannot be had.
func newWatcher(root string) *watcher {
	if root == "" {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &watcher{
		root:   root,
		file:   os.NewFile(uintptr(fd), "inotify"),
		found:  make(chan map[*mailbox]struct{}),
		boxes:  map[int32]*mailbox{},
		counts: map[*mailbox][]int32{},
		limit:  maxWatched,
	}
}

// watch begins to watch a mailbox, if that can be.
func (w *watcher) watch(m *mailbox) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.counts[m]; watched || len(w.counts) >= w.limit {
		return
	}
	for _, sub := range []string{"new", "cur"} {
		wd, err := w.add(filepath.Join(w.root, filepath.FromSlash(m.path(sub))))
		if err != nil {
			w.drop(m)
			return
		}
		w.boxes[wd] = m
		w.counts[m] = append(w.counts[m], wd)
	}
}

// add watches a directory.
func (w *watcher) add(dir string) (wd int32, err error) {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	control := conn.Control(func(fd uintptr) { n, err = unix.InotifyAddWatch(int(fd), dir, watchedEvents) })
	return int32(n), errors.Join(control, err) //nolint:gosec // the kernel's numbers are small
}

// watches reports whether events of a mailbox will come.
func (w *watcher) watches(m *mailbox) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.counts[m]) == 2
}

// forget ends the watch of a mailbox.
func (w *watcher) forget(m *mailbox) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(m)
}

// drop is forget with the lock held. A directory that is gone has lost its watch
// already.
func (w *watcher) drop(m *mailbox) {
	conn, err := w.file.SyscallConn()
	for _, wd := range w.counts[m] {
		if w.boxes[wd] != m {
			continue
		}
		delete(w.boxes, wd)
		if err == nil {
			_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) }) //nolint:gosec // as the kernel gave it
		}
	}
	delete(w.counts, m)
}

// read tells who asks for found of what happens, until the file is closed.
func (w *watcher) read(stop <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		found := w.mailboxes(buf[:n])
		if len(found) == 0 {
			continue
		}
		select {
		case w.found <- found:
		case <-stop:
			return
		}
	}
}

// mailboxes are those that events are about; all if the kernel lost some.
func (w *watcher) mailboxes(events []byte) map[*mailbox]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[*mailbox]struct{}{}
	for len(events) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(events)) //nolint:gosec // it is one
		mask := binary.NativeEndian.Uint32(events[4:])
		size := int(binary.NativeEndian.Uint32(events[12:]))
		events = events[min(unix.SizeofInotifyEvent+size, len(events)):]
		m := w.boxes[wd]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			for _, m := range w.boxes {
				found[m] = struct{}{}
			}
		case mask&unix.IN_IGNORED != 0:
			if delete(w.boxes, wd); m != nil {
				w.drop(m) // it is polled from now on
				found[m] = struct{}{}
			}
		case m != nil:
			found[m] = struct{}{}
		}
	}
	return found
}

// close ends read.
func (w *watcher) close() error {
	if w == nil {
		return nil
	}
	return w.file.Close()
}
