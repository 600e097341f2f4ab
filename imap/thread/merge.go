package thread

// mergeSubjects is step 5 of REFERENCES (RFC 5256 section 3): threads, sorted,
// with the same subject become one.
func mergeSubjects(threads []*Node, messages []Message) []*Node {
	table := subjectTable(threads, messages)
	gone := map[*Node]bool{}
	made := map[*Node]*Node{} // what a thread was put below, in its place
	for _, n := range threads {
		m := messages[n.first()]
		chosen := table[m.Subject]
		if m.Subject == "" || chosen == n {
			continue
		}
		switch c := messages[chosen.first()]; {
		case chosen.Message < 0 && n.Message < 0:
			chosen.Children = append(chosen.Children, n.Children...)
		case chosen.Message < 0 || m.Reply && !c.Reply:
			chosen.Children = append(chosen.Children, n)
		default:
			both := &Node{Message: -1, Children: []*Node{chosen, n}}
			made[chosen] = both
			table[m.Subject] = both
		}
		gone[n] = true
	}
	var kept []*Node
	for _, n := range threads {
		switch both := made[n]; {
		case gone[n]:
		case both != nil:
			kept = append(kept, both)
		default:
			kept = append(kept, n)
		}
	}
	return kept
}

// subjectTable chooses the thread of each subject that others join: one
// without a message if there is one, else one that is no reply.
func subjectTable(threads []*Node, messages []Message) map[string]*Node {
	table := map[string]*Node{}
	for _, n := range threads {
		m := messages[n.first()]
		if m.Subject == "" {
			continue
		}
		chosen := table[m.Subject]
		switch {
		case chosen == nil,
			n.Message < 0 && chosen.Message >= 0,
			chosen.Message >= 0 && messages[chosen.Message].Reply && !m.Reply:
			table[m.Subject] = n
		}
	}
	return table
}
