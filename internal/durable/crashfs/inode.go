package crashfs

import (
	"io/fs"
	"maps"
	"time"
)

// inode is a file, a directory or a symbolic link: as it is now, and as it is
// on the disk.
type inode struct {
	id     uint64
	meta   meta
	target string // of a symbolic link

	data      []byte // of a file, now; never changed in place
	truncated bool   // made shorter since the last sync
	locked    *file  // who has the lock
	unnamed   bool   // made by CreateUnnamed

	names   map[string]*inode // of a directory, now
	pending []*change         // not durable, in order

	saved      meta
	savedData  []byte
	savedNames map[string]*inode
}

type meta struct {
	mode         fs.FileMode
	uid, gid     int
	atime, mtime time.Time
	links        int // on the disk it counts of what began without a name alone
}

// change is one step in the names of a directory.
type change struct {
	dir    *inode
	name   string
	node   *inode  // nil: the name goes away
	with   *change // of a rename: the new name, which must survive if this does
	joined bool    // the next change of dir is the other half of a rename
}

func (d *disk) newInode(mode fs.FileMode) *inode {
	d.nextID++
	now := d.now()
	n := &inode{id: d.nextID, meta: meta{mode: mode, atime: now, mtime: now}}
	if mode.IsDir() {
		n.names = map[string]*inode{}
		n.savedNames = map[string]*inode{}
	}
	n.saved = n.meta
	return n
}

// set gives name to node in n, or takes it away, and remembers the change
// until it is synced.
func (n *inode) set(d *disk, name string, node *inode) *change {
	if old := n.names[name]; old != nil {
		old.meta.links--
	}
	if node != nil {
		node.meta.links++
		n.names[name] = node
	} else {
		delete(n.names, name)
	}
	n.meta.mtime = d.now()
	c := &change{dir: n, name: name, node: node}
	n.pending = append(n.pending, c)
	return c
}

func (n *inode) syncMeta() { n.saved = n.meta }

// sync makes a file durable.
func (n *inode) sync() {
	n.syncMeta()
	n.syncData()
}

func (n *inode) syncData() {
	n.savedData = n.data
	n.truncated = false
}

// syncNames makes the names of a directory durable, and the new names of what
// was renamed away from it.
func (n *inode) syncNames() {
	pending := n.pending
	n.pending = nil
	n.savedNames = maps.Clone(n.names)
	n.syncMeta()
	for _, c := range pending {
		if c.with != nil {
			c.with.dir.syncUpTo(c.with)
		}
	}
}

// syncUpTo makes the changes of a directory durable up to last, if that is
// still to be done.
func (n *inode) syncUpTo(last *change) {
	for i, c := range n.pending {
		if c != last {
			continue
		}
		done := n.pending[:i+1]
		n.pending = n.pending[i+1:]
		applyChanges(n.savedNames, done)
		for _, c := range done {
			if c.with != nil {
				c.with.dir.syncUpTo(c.with)
			}
		}
		return
	}
}

func applyChanges(names map[string]*inode, changes []*change) {
	for _, c := range changes {
		if c.node == nil {
			delete(names, c.name)
		} else {
			names[c.name] = c.node
		}
	}
}

// syncAll makes everything durable that can be reached from n.
func (n *inode) syncAll() {
	n.sync()
	if !n.meta.mode.IsDir() {
		return
	}
	n.pending = nil
	n.savedNames = maps.Clone(n.names)
	for _, child := range n.names {
		child.syncAll()
	}
}
