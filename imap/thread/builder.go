package thread

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// MaxReferences is how many Message-IDs at the end of References are looked
// at. What lies before them says only what is known from their own fields.
const MaxReferences = 30

// maxDepth bounds the messages between a thread's first and its deepest.
const maxDepth = 1000

// Builder links messages by their references.
type Builder struct {
	seed     maphash.Seed
	byID     map[uint64]int32 // hash of a Message-ID: index in nodes
	nodes    []container
	messages []Message
}

// container is a Message-ID that was seen, or a message without one.
type container struct {
	parent   int32 // -1: none
	message  int32 // -1: only referenced
	children bool  // it is, or was, somebody's parent
}

// NewBuilder makes a Builder without messages.
func NewBuilder() *Builder {
	return &Builder{seed: maphash.MakeSeed(), byID: map[uint64]int32{}}
}

// Add is step 1 of REFERENCES (RFC 5256 section 3) for the next message: id is
// its Message-ID, "" if it has none, references are those it answers, oldest
// first.
func (b *Builder) Add(m Message, id string, references []string) {
	own := b.own(id)
	b.nodes[own].message = int32(len(b.messages))
	b.messages = append(b.messages, m)
	last := int32(-1)
	for _, ref := range references[max(0, len(references)-MaxReferences):] {
		n := b.container(ref)
		if last >= 0 && b.nodes[n].parent < 0 {
			b.link(n, last)
		}
		last = n
	}
	b.nodes[own].parent = -1 // what others said of it was a guess
	if last >= 0 {
		b.link(own, last)
	}
}

// own is the container of a message. A Message-ID that another message has
// already counts as none.
func (b *Builder) own(id string) int32 {
	if id != "" {
		if n := b.container(id); b.nodes[n].message < 0 {
			return n
		}
	}
	return b.add()
}

func (b *Builder) add() int32 {
	b.nodes = append(b.nodes, container{parent: -1, message: -1})
	return int32(len(b.nodes) - 1)
}

func (b *Builder) container(id string) int32 {
	key := maphash.String(b.seed, id)
	n, known := b.byID[key]
	if !known {
		n = b.add()
		b.byID[key] = n
	}
	return n
}

// link makes parent the parent of child, unless that would close a circle.
func (b *Builder) link(child, parent int32) {
	if child == parent || b.nodes[child].children && b.isAbove(child, parent) {
		return
	}
	b.nodes[child].parent = parent
	b.nodes[parent].children = true
}

// isAbove reports whether n is an ancestor of below. So far up that no thread
// reaches there, it is said to be one.
func (b *Builder) isAbove(n, below int32) bool {
	for range maxDepth {
		if below = b.nodes[below].parent; below < 0 {
			return false
		}
		if below == n {
			return true
		}
	}
	return true
}

// References is the REFERENCES algorithm of RFC 5256 section 3.
func (b *Builder) References() []*Node {
	threads := b.tree()
	sortTree(threads, b.messages)
	threads = mergeSubjects(threads, b.messages)
	sortTree(threads, b.messages)
	return threads
}

// Refs is the REFS algorithm: REFERENCES without regard to subjects, the
// thread in which something arrived last at the end; of what arrived at once the
// message with the highest number counts as the last, as with Dovecot.
func (b *Builder) Refs() []*Node {
	threads := b.tree()
	sortTree(threads, b.messages)
	newest := make(map[*Node]int, len(threads))
	for _, t := range threads {
		newest[t] = b.newest(t)
	}
	slices.SortFunc(threads, func(x, y *Node) int { return b.byArrival(newest[x], newest[y]) })
	return threads
}

func (b *Builder) byArrival(x, y int) int {
	return cmp.Or(b.messages[x].Arrived.Compare(b.messages[y].Arrived), cmp.Compare(x, y))
}

// newest is the message of a thread that arrived last.
func (b *Builder) newest(n *Node) int {
	last := n.Message
	for _, c := range n.Children {
		if m := b.newest(c); last < 0 || b.byArrival(m, last) > 0 {
			last = m
		}
	}
	return last
}

// tree is steps 2 and 3: the containers as trees, those without message taken
// out.
func (b *Builder) tree() []*Node {
	children := b.children()
	nodes := make([]*Node, len(b.nodes))
	depth := make([]int16, len(b.nodes))
	var roots []*Node
	// From the roots down, so that a parent has its node and depth before its
	// children have.
	for order := children[-1]; len(order) > 0; {
		var below []int32
		for _, i := range order {
			nodes[i] = &Node{Message: int(b.nodes[i].message)}
			if p := b.nodes[i].parent; p >= 0 && depth[p] < maxDepth {
				depth[i] = depth[p] + 1
				nodes[p].Children = append(nodes[p].Children, nodes[i])
			} else {
				roots = append(roots, nodes[i])
			}
			below = append(below, children[i]...)
		}
		order = below
	}
	return prune(roots, true)
}

// children are the containers by parent, -1 for those without.
func (b *Builder) children() map[int32][]int32 {
	children := map[int32][]int32{}
	for i, n := range b.nodes {
		children[n.parent] = append(children[n.parent], int32(i))
	}
	return children
}

// prune takes out nodes without message: their children take their place, but
// several do not all become threads.
func prune(nodes []*Node, atRoot bool) []*Node {
	var kept []*Node
	for _, n := range nodes {
		n.Children = prune(n.Children, false)
		switch {
		case n.Message >= 0 || atRoot && len(n.Children) > 1:
			kept = append(kept, n)
		default:
			kept = append(kept, n.Children...)
		}
	}
	return kept
}
