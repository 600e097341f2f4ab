package thread

import (
	"cmp"
	"slices"
	"time"
)

// Message is what threading looks at.
type Message struct {
	Subject string // base subject, folded as the collation wants it
	Reply   bool   // a reply or forwarded, as BaseSubject reports
	Sent    time.Time
	Arrived time.Time
}

// Node is a message with what answers it. Only a thread's first node may be
// without a message: what its children answer is not here. It has two or more.
type Node struct {
	Message  int // index in the order of the messages, -1 for none
	Children []*Node
}

// first is the message that stands for a thread: of one without, the first
// child's.
func (n *Node) first() int {
	for n.Message < 0 && len(n.Children) > 0 {
		n = n.Children[0]
	}
	return n.Message
}

// sortTree sorts siblings by the time they were sent, children first, as the
// place of a node without message is its first child's (RFC 5256 section 3,
// REFERENCES step 6).
func sortTree(nodes []*Node, messages []Message) {
	for _, n := range nodes {
		sortTree(n.Children, messages)
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return bySent(messages, a.first(), b.first()) })
}

// bySent orders by the time sent, then by number (RFC 5256 section 2.2).
func bySent(messages []Message, a, b int) int {
	return cmp.Or(messages[a].Sent.Compare(messages[b].Sent), cmp.Compare(a, b))
}

// OrderedSubject is ORDEREDSUBJECT of RFC 5256 section 3: one thread for each
// base subject, whose first message has all others as children.
func OrderedSubject(messages []Message) []*Node {
	order := make([]int, len(messages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(messages[a].Subject, messages[b].Subject), bySent(messages, a, b))
	})
	var threads []*Node
	for _, i := range order {
		if n := len(threads); n > 0 && messages[threads[n-1].Message].Subject == messages[i].Subject {
			threads[n-1].Children = append(threads[n-1].Children, &Node{Message: i})
			continue
		}
		threads = append(threads, &Node{Message: i})
	}
	slices.SortFunc(threads, func(a, b *Node) int { return bySent(messages, a.Message, b.Message) })
	return threads
}
