package crashfs

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
)

// Survival says what of the changes that were not durable is there after a
// power cut.
type Survival int

// The extremes. What was durable survives in all of them.
const (
	Nothing    Survival = iota // only what was durable
	Everything                 // all that happened
	NamesEmpty                 // names survive; of content only what was durable
	NamesTorn                  // names survive and the new sizes; half of the new content is zeros
	numSurvivals
)

// Survivals are all of them, for loops.
func Survivals() []Survival {
	var all []Survival
	for s := range numSurvivals {
		all = append(all, s)
	}
	return all
}

func (s Survival) String() string {
	switch s {
	case Nothing:
		return "nothing unsynced survives"
	case Everything:
		return "everything survives"
	case NamesEmpty:
		return "names survive without content"
	case NamesTorn:
		return "names survive with torn content"
	}
	return fmt.Sprintf("Survival(%d)", int(s))
}

// Crash is the tree after a power cut now: everything in it is durable, the
// power is on, no error is injected, its operations count from zero. f itself
// stays as it is, so several outcomes of one moment can be looked at. Of a Sub
// it is the whole tree too.
func (f *FS) Crash(s Survival) *FS {
	return f.disk.crash(outcome{
		changes: func(n *inode) int {
			if s == Nothing {
				return 0
			}
			return len(n.pending)
		},
		content: func(n *inode) []byte { return survivingContent(n, s) },
		counted: func() bool { return s != Nothing },
	})
}

// CrashRandom is Crash with an outcome drawn from seed: any number of a
// directory's last changes, each file in any of its states.
func (f *FS) CrashRandom(seed uint64) *FS {
	rng := rand.New(rand.NewPCG(seed, 0))
	return f.disk.crash(outcome{
		changes: func(n *inode) int { return rng.IntN(len(n.pending) + 1) },
		content: func(n *inode) []byte {
			return survivingContent(n, Survival(rng.IntN(int(numSurvivals))))
		},
		counted: func() bool { return rng.IntN(2) == 0 },
	})
}

func survivingContent(n *inode, s Survival) []byte {
	switch s {
	case Nothing:
		return n.savedData
	case Everything:
		return n.data
	}
	if len(n.data) == len(n.savedData) && !n.truncated {
		return survivingOverwrite(n, s)
	}
	safe := commonPrefix(n.savedData, n.data)
	if n.truncated {
		safe = 0
	}
	if s == NamesEmpty {
		return n.data[:safe]
	}
	torn := bytes.Clone(n.data)
	clear(torn[safe+(len(torn)-safe)/2:])
	return torn
}

// survivingOverwrite is what is in a file that was written in place and did not
// grow: what nobody wrote to stays.
func survivingOverwrite(n *inode, s Survival) []byte {
	if s == NamesEmpty {
		return n.savedData
	}
	from, to := commonPrefix(n.savedData, n.data), len(n.data)
	for to > from && n.savedData[to-1] == n.data[to-1] {
		to--
	}
	torn := bytes.Clone(n.data)
	clear(torn[from+(to-from)/2 : to])
	return torn
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// outcome decides about what was not durable.
type outcome struct {
	changes func(dir *inode) int     // how many of dir.pending survive
	content func(file *inode) []byte // what is in file
	// counted is whether a number of links survives that was not synced since the
	// file got its name. Without it the name leads to what counts as deleted: so it is
	// on a file system without a journal, however durable the directory is.
	counted func() bool
}

func (d *disk) crash(o outcome) *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := crashing{outcome: o, kept: map[*inode]int{}, copies: map[*inode]*inode{}}
	c.decide(d.root)
	after := &disk{now: d.now, cutAt: -1, nextID: d.nextID}
	after.root = c.copy(d.root)
	return &FS{disk: after, root: after.root, path: "."}
}

// crashing builds the tree after a crash.
type crashing struct {
	outcome
	kept   map[*inode]int // how many pending changes of a directory survive
	copies map[*inode]*inode
}

// decide draws for every directory that may be reached, in the order of their
// names so that a seed means the same each time, then mends renames.
func (c *crashing) decide(dir *inode) {
	if _, done := c.kept[dir]; done || !dir.meta.mode.IsDir() {
		return
	}
	n := c.changes(dir)
	c.kept[dir] = 0
	c.keep(dir, n)
	for _, name := range sortedNames(dir.savedNames) {
		c.decide(dir.savedNames[name])
	}
	for _, change := range dir.pending {
		if change.node != nil {
			c.decide(change.node)
		}
	}
}

// keep lets the first n pending changes of dir survive, and with the loss of
// an old name the new one.
func (c *crashing) keep(dir *inode, n int) {
	if n > 0 && dir.pending[n-1].joined {
		n++
	}
	if n <= c.kept[dir] {
		return
	}
	c.kept[dir] = n
	for _, change := range dir.pending[:n] {
		if change.with != nil {
			c.keepUpTo(change.with)
		}
	}
}

func (c *crashing) keepUpTo(last *change) {
	for i, change := range last.dir.pending {
		if change == last {
			c.decide(last.dir)
			c.keep(last.dir, i+1)
		}
	}
}

// copy makes the durable copy of a node; two names of one file stay one file.
func (c *crashing) copy(n *inode) *inode {
	if made := c.copies[n]; made != nil {
		return made
	}
	made := &inode{id: n.id, meta: n.saved, target: n.target}
	made.meta.links = 0
	c.copies[n] = made
	if n.meta.mode.IsDir() {
		c.copyNames(n, made)
	} else {
		made.data = bytes.Clone(c.content(n)) // the original may go on writing in place
	}
	made.savedData = made.data
	made.syncMeta()
	return made
}

func (c *crashing) copyNames(n, made *inode) {
	names := maps.Clone(n.savedNames)
	applyChanges(names, n.pending[:c.kept[n]])
	made.names = map[string]*inode{}
	for _, name := range sortedNames(names) {
		if node := names[name]; node.unnamed && node.saved.links == 0 && !c.counted() {
			continue
		}
		child := c.copy(names[name])
		child.meta.links++
		made.names[name] = child
	}
	made.savedNames = maps.Clone(made.names)
}
