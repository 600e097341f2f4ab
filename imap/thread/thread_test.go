package thread

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBaseSubject(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, subject, base string
		reply               bool
	}{
		{"nothing to take off", "lunch", "lunch", false},
		{"blanks are one", "  a \t b ", "a b", false},
		{"a reply", "Re: lunch", "lunch", true},
		{"a reply of replies", "RE: re:Re :  lunch", "lunch", true},
		{"forwarded", "Fw: FWD: lunch", "lunch", true},
		{"a list's mark", "[list] lunch", "lunch", false},
		{"marks around the leader", "[list] [x] Re[2]: lunch", "lunch", true},
		{"a mark alone stays", "[list]", "[list]", false},
		{"of marks the last stays", "[a] [b]", "[b]", false},
		{"a mark after the leader", "Re: [list] lunch", "lunch", true},
		{"a leader after a mark after a leader", "Re: [list] Re: lunch", "lunch", true},
		{"the trailer", "lunch (fwd) (FWD)", "lunch", true},
		{"wrapped", "[Fwd: Re: lunch (fwd)]", "lunch", true},
		{"wrapped twice", "[fwd: [fwd: lunch]]", "lunch", true},
		{"a wrapper's inside may have brackets", "[Fwd: [list] lunch]", "lunch", true},
		{"not a leader", "Reply: lunch", "Reply: lunch", false},
		{"nothing is left", "Re:", "", true},
		{"nothing at all", "", "", false},
		{"brackets that do not close", "[list lunch", "[list lunch", false},
	}
	for _, tt := range tests {
		if base, reply := BaseSubject(tt.subject); base != tt.base || reply != tt.reply {
			t.Errorf("%s: %q is %q, %v; want %q, %v", tt.rule, tt.subject, base, reply, tt.base, tt.reply)
		}
	}
}

// FuzzBaseSubject holds that a base subject is its own.
func FuzzBaseSubject(f *testing.F) {
	f.Add("[list] [x] Re[2]: lunch (fwd)")
	f.Add("[fwd: [fwd: lunch]]")
	f.Fuzz(func(t *testing.T, subject string) {
		base, _ := BaseSubject(subject)
		if again, _ := BaseSubject(base); again != base {
			t.Errorf("%q is %q, which is %q", subject, base, again)
		}
	})
}

// TestLongSubject holds that the work is linear.
func TestLongSubject(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, piece := range []string{"[]", "[", "Re:", "(fwd)", "[fwd:", "]", "[x] ", "re[1]", "re ", "[a]re:"} {
		BaseSubject(strings.Repeat(piece, 1<<20))
		BaseSubject(strings.Repeat("[fwd:", 1<<18) + strings.Repeat("]", 1<<18))
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// mail is a message of the tests: its date is its day of the month.
type mail struct {
	id, refs, subject string
	day               int
}

// draw prints threads as THREAD does, with numbers from 1.
func draw(nodes []*Node) string {
	var b strings.Builder
	for _, n := range nodes {
		b.WriteByte('(')
		drawNode(&b, n)
		b.WriteByte(')')
	}
	return b.String()
}

func drawNode(b *strings.Builder, n *Node) {
	if n.Message >= 0 {
		fmt.Fprint(b, n.Message+1)
	}
	switch len(n.Children) {
	case 0:
	case 1:
		b.WriteByte(' ')
		drawNode(b, n.Children[0])
	default:
		b.WriteString(draw(n.Children))
	}
}

func messageOf(m mail) Message {
	day := time.Date(2026, 1, m.day, 0, 0, 0, 0, time.UTC)
	base, reply := BaseSubject(m.subject)
	return Message{Subject: base, Reply: reply, Sent: day, Arrived: day}
}

func build(mails []mail) (*Builder, []Message) {
	b := NewBuilder()
	for _, m := range mails {
		b.Add(messageOf(m), m.id, strings.Fields(m.refs))
	}
	return b, b.messages
}

func TestThreads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule                       string
		mails                      []mail
		references, refs, subjects string
	}{
		{"nothing", nil, "", "", ""},
		{"a chain", []mail{{"a", "", "x", 1}, {"b", "a", "Re: x", 2}, {"c", "a b", "Re: x", 3}}, "(1 2 3)", "(1 2 3)", "(1(2)(3))"},
		{"answers are sorted by date", []mail{{"a", "", "x", 1}, {"b", "a", "Re: x", 3}, {"c", "a", "Re: x", 2}}, "(1(3)(2))", "(1(3)(2))", "(1(3)(2))"},
		{"answers before what they answer", []mail{{"c", "a b", "Re: x", 3}, {"b", "a", "Re: x", 2}, {"a", "", "x", 1}}, "(3 2 1)", "(3 2 1)", "(3(2)(1))"},
		{"one missing between", []mail{{"a", "", "x", 1}, {"c", "a b", "Re: x", 3}}, "(1 2)", "(1 2)", "(1 2)"},
		{"the first is missing, one answer", []mail{{"b", "a", "Re: x", 1}}, "(1)", "(1)", "(1)"},
		{"the first is missing, two answers", []mail{{"b", "a", "Re: x", 2}, {"c", "a", "Re: x", 1}}, "((2)(1))", "((2)(1))", "(2 1)"},
		{"a circle", []mail{{"a", "b", "x", 1}, {"b", "a", "x", 2}}, "(2 1)", "(2 1)", "(1 2)"},
		{"a circle of three", []mail{{"a", "c", "x", 1}, {"b", "a", "y", 2}, {"c", "b", "z", 3}}, "(3 1 2)", "(3 1 2)", "(1)(2)(3)"},
		{"an answer to itself", []mail{{"a", "a a", "x", 1}}, "(1)", "(1)", "(1)"},
		{"a Message-ID that two have", []mail{{"a", "", "x", 1}, {"a", "", "y", 2}, {"b", "a", "z", 3}}, "(1 3)(2)", "(2)(1 3)", "(1)(2)(3)"},
		{"truncated references are mended", []mail{{"d", "a c", "x", 4}, {"c", "b", "x", 3}, {"b", "a", "x", 2}, {"a", "", "x", 1}}, "(4 3 2 1)", "(4 3 2 1)", "(4(3)(2)(1))"},
		{"the same subject joins a reply", []mail{{"a", "", "x", 1}, {"b", "", "Re: x", 2}, {"c", "", "y", 3}}, "(1 2)(3)", "(1)(2)(3)", "(1 2)(3)"},
		{"and two that are no replies", []mail{{"a", "", "x", 1}, {"b", "", "x", 2}}, "((1)(2))", "(1)(2)", "(1 2)"},
		{"a reply that came first", []mail{{"a", "", "Re: x", 1}, {"b", "", "x", 2}}, "(2 1)", "(1)(2)", "(1 2)"},
		{"threads without first message", []mail{{"a", "p", "Re: x", 1}, {"b", "p", "Re: x", 2}, {"c", "q", "Re: x", 3}, {"d", "q", "Re: x", 4}, {"e", "", "x", 5}}, "((1)(2)(3)(4)(5))", "((1)(2))((3)(4))(5)", "(1(2)(3)(4)(5))"},
		{"no subject joins nothing", []mail{{"a", "", "", 1}, {"b", "", "Re:", 2}}, "(1)(2)", "(1)(2)", "(1 2)"},
		{"REFS puts what is alive last", []mail{{"a", "", "x", 1}, {"b", "", "y", 2}, {"c", "a", "Re: x", 3}}, "(1 3)(2)", "(2)(1 3)", "(1 3)(2)"},
	}
	for _, tt := range tests {
		b, messages := build(tt.mails)
		for name, got := range map[string][2]string{
			"REFERENCES":     {draw(b.References()), tt.references},
			"REFS":           {draw(b.Refs()), tt.refs},
			"ORDEREDSUBJECT": {draw(OrderedSubject(messages)), tt.subjects},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: %s gives %s, want %s", tt.rule, name, got[0], got[1])
			}
		}
	}
}

// count counts the messages of threads and their depth.
func count(nodes []*Node) (messages, depth int) {
	for _, n := range nodes {
		m, d := count(n.Children)
		if n.Message >= 0 {
			m++
		}
		messages += m
		depth = max(depth, d+1)
	}
	return messages, depth
}

// TestHostileReferences holds that no references cost more than their number,
// and that no message is lost by them.
func TestHostileReferences(t *testing.T) {
	t.Parallel()
	const n = 20000
	all := func(i int) int { return i }
	for rule, order := range map[string]func(i int) int{
		"a chain": all, "a chain from its end": func(i int) int { return n - 1 - i }, "a chain out of order": func(i int) int { return i * 7919 % n },
	} {
		b := NewBuilder()
		start := time.Now()
		for i := range n {
			k := order(i)
			b.Add(Message{}, fmt.Sprint(k), []string{fmt.Sprint((k + n - 1) % n)}) // a circle, too
		}
		messages, depth := count(b.References())
		if took := time.Since(start); messages != n || depth > maxDepth+1 || took > 10*time.Second {
			t.Errorf("%s: %d of %d messages, %d deep, in %v", rule, messages, n, depth, took)
		}
	}
	b := NewBuilder()
	refs := make([]string, 10000)
	for i := range refs {
		refs[i] = fmt.Sprint(i)
	}
	b.Add(Message{}, "x", refs)
	if len(b.nodes) != MaxReferences+1 {
		t.Errorf("%d containers of one message", len(b.nodes))
	}
}

// FuzzThreads holds that every message is in the result exactly once, whatever
// refers to whatever.
func FuzzThreads(f *testing.F) {
	f.Add([]byte("ab.ba.cb"))
	f.Fuzz(func(t *testing.T, input []byte) {
		b := NewBuilder()
		for part := range strings.SplitSeq(string(input), ".") {
			refs := strings.Split(part, "")
			id := ""
			if len(refs) > 0 {
				id, refs = refs[0], refs[1:]
			}
			b.Add(Message{Subject: fmt.Sprint(len(part) % 3), Reply: len(part)%2 == 0}, id, refs)
		}
		for _, threads := range [][]*Node{b.References(), b.Refs(), OrderedSubject(b.messages)} {
			seen := map[int]bool{}
			once(t, threads, seen)
			if len(seen) != len(b.messages) {
				t.Errorf("%d of %d messages in the result", len(seen), len(b.messages))
			}
		}
	})
}

func once(t *testing.T, nodes []*Node, seen map[int]bool) {
	for _, n := range nodes {
		if seen[n.Message] && n.Message >= 0 || n.Message < 0 && len(n.Children) < 2 {
			t.Errorf("message %d again, or nothing with %d children", n.Message, len(n.Children))
		}
		if n.Message >= 0 {
			seen[n.Message] = true
		}
		once(t, n.Children, seen)
	}
}
