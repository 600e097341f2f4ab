package imap

import (
	"encoding/binary"

	"gomaild/imap/thread"
	"gomaild/storage"
)

// The form in which orders and threads are kept on disk. An order is the positions
// of its messages, four octets each. Threads are nodes, each before its children, as
// two varints: 0 for no message, else its position + 1; and the number of children.
// Package index has the version of it.

// Of implements storage.Lasting.
func (o *inOrder) Of() []storage.UID { return o.uids }

// AppendTo implements storage.Lasting.
func (o *inOrder) AppendTo(dst []byte) []byte {
	for _, at := range o.order {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(at))
	}
	return dst
}

// parseInOrder is nil if the octets are not those of an order of these messages.
func parseInOrder(uids []storage.UID, octets []byte) *inOrder {
	if len(octets) != 4*len(uids) {
		return nil
	}
	o := &inOrder{uids: uids, order: make([]int, len(uids))}
	met := make([]bool, len(uids))
	for n := range o.order {
		at := binary.LittleEndian.Uint32(octets[4*n:])
		if uint64(at) >= uint64(len(uids)) || met[at] {
			return nil
		}
		o.order[n], met[at] = int(at), true
	}
	return o
}

// recallOrder is what is remembered under a key, or nil.
func recallOrder(memo *storage.Memo, key string) *inOrder {
	switch v := memo.Load(key).(type) {
	case *inOrder:
		return v
	case *storage.Kept:
		if o := parseInOrder(v.UIDs, v.Octets); o != nil {
			memo.Restore(key, o)
			return o
		}
	}
	return nil
}

// Of implements storage.Lasting.
func (t *inThreads) Of() []storage.UID { return t.uids }

// AppendTo implements storage.Lasting.
func (t *inThreads) AppendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.threads)))
	for rest := reversed(nil, t.threads); len(rest) > 0; {
		node := rest[len(rest)-1]
		rest = reversed(rest[:len(rest)-1], node.Children)
		dst = binary.AppendUvarint(dst, uint64(node.Message+1))
		dst = binary.AppendUvarint(dst, uint64(len(node.Children)))
	}
	return dst
}

// reversed adds nodes to a stack, the first of them on top.
func reversed(stack, nodes []*thread.Node) []*thread.Node {
	for i := len(nodes) - 1; i >= 0; i-- {
		stack = append(stack, nodes[i])
	}
	return stack
}

// parseInThreads is nil if the octets are not those of threads of these messages.
func parseInThreads(uids []storage.UID, octets []byte) *inThreads {
	number := func() uint64 {
		n, size := binary.Uvarint(octets)
		if size <= 0 {
			octets = nil
			return ^uint64(0)
		}
		octets = octets[size:]
		return n
	}
	most := uint64(len(octets)) / 2 // nodes
	met := make([]bool, len(uids))
	messages := 0
	nodes := make([]thread.Node, 0, most)
	children := make([]*thread.Node, 0, most)
	take := func(n uint64) ([]*thread.Node, bool) { // n pointers to be filled in
		from := len(children)
		if n > most-uint64(from) {
			return nil, false
		}
		children = children[:from+int(n)]
		return children[from:len(children):len(children)], true
	}
	threads, ok := take(number())
	if !ok {
		return nil
	}
	for open := [][]*thread.Node{threads}; len(open) > 0; {
		last := len(open) - 1
		if len(open[last]) == 0 {
			open = open[:last]
			continue
		}
		message, n := number(), number()
		if message > uint64(len(uids)) || message > 0 && met[message-1] || len(nodes) == cap(nodes) {
			return nil
		}
		if message > 0 {
			met[message-1] = true
			messages++
		}
		inner, ok := take(n)
		if !ok {
			return nil
		}
		nodes = append(nodes, thread.Node{Message: int(message) - 1, Children: inner})
		open[last][0] = &nodes[len(nodes)-1]
		open[last] = open[last][1:]
		open = append(open, inner)
	}
	if messages != len(uids) || len(octets) > 0 {
		return nil
	}
	return &inThreads{uids: uids, threads: threads}
}

// recallThreads is what is remembered under a key, or nil.
func recallThreads(memo *storage.Memo, key string) *inThreads {
	switch v := memo.Load(key).(type) {
	case *inThreads:
		return v
	case *storage.Kept:
		if t := parseInThreads(v.UIDs, v.Octets); t != nil {
			memo.Restore(key, t)
			return t
		}
	}
	return nil
}
