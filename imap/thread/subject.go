package thread

import "strings"

// BaseSubject is the base subject (RFC 5256 section 2.1) of a subject that has
// been decoded to UTF-8, and whether what was taken off says that the message
// is a reply or was forwarded. The work is linear in the length.
func BaseSubject(subject string) (base string, reply bool) {
	s := strings.Join(strings.Fields(subject), " ")
	for {
		var forwarded, replied, wrapped bool
		s, forwarded = cutTrailers(s)
		s, replied = cutLeaders(s)
		s, wrapped = cutForward(s)
		reply = reply || forwarded || replied || wrapped
		if !wrapped {
			return s, reply
		}
	}
}

// cutTrailers takes off "(fwd)" and blanks at the end, as many as there are.
func cutTrailers(s string) (rest string, cut bool) {
	for {
		s = strings.TrimRight(s, " ")
		n := len(s) - len("(fwd)")
		if n < 0 || !strings.EqualFold(s[n:], "(fwd)") {
			return s, cut
		}
		s, cut = s[:n], true
	}
}

// cutLeaders takes off "Re:", "Fwd: [list]:" and their like at the beginning,
// and then marks in brackets, unless nothing else is left. Marks before a
// leader go with it; once no leader is left, none appears behind the marks
// that go after it, so nothing is looked at twice.
func cutLeaders(s string) (rest string, cut bool) {
	for {
		s = strings.TrimLeft(s, " ")
		after, ok := cutLeader(s)
		if !ok {
			break
		}
		s, cut = after, true
	}
	for {
		after, ok := cutMark(s)
		if !ok || after == "" {
			return s, cut
		}
		s = after
	}
}

// cutLeader takes off one subj-leader that is more than a blank.
func cutLeader(s string) (rest string, ok bool) {
	for marked := true; marked; {
		s, marked = cutMark(s)
	}
	word := 0
	for _, name := range []string{"re", "fwd", "fw"} {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			word = len(name)
			break
		}
	}
	if word == 0 {
		return "", false
	}
	s = strings.TrimLeft(s[word:], " ")
	s, _ = cutMark(s)
	return strings.CutPrefix(s, ":")
}

// cutMark takes off one subj-blob: brackets without brackets in them, and
// blanks.
func cutMark(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}

// cutForward takes off "[Fwd: ... ]".
func cutForward(s string) (rest string, ok bool) {
	const head = "[fwd:"
	if len(s) <= len(head) || !strings.EqualFold(s[:len(head)], head) || !strings.HasSuffix(s, "]") {
		return s, false
	}
	return s[len(head) : len(s)-1], true
}
