package sieve

import (
	"slices"
	"strconv"
	"strings"
)

// Kind says what an Action does.
type Kind int

// The kinds of actions.
const (
	Keep Kind = iota // store in the inbox, or where delivery would put it
	FileInto
	Redirect
	Discard
)

// String is the name of the command, "store" for FileInto, as in the test
// suite's test_result_action.
func (k Kind) String() string {
	return [...]string{"keep", "store", "redirect", "discard"}[k]
}

// Action is one thing to do with the message.
type Action struct {
	Kind       Kind
	Pos        Pos      // the command that decided
	Mailbox    string   // FileInto: UTF-8 name
	Create     bool     // FileInto: make it if it is missing (RFC 5490)
	SpecialUse string   // FileInto: prefer the mailbox of that use (RFC 8579)
	MailboxID  string   // FileInto: prefer the mailbox of that id (RFC 9042)
	Flags      []string // Keep, FileInto: system flags and keywords
	HasFlags   bool     // Flags were given by tag or by the flag commands
	Address    string   // Redirect: where to
}

// String is the action for people: what, with what, and the line that decided.
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(a.Kind.String())
	switch a.Kind {
	case FileInto:
		b.WriteString(" into " + strconv.Quote(a.Mailbox))
	case Redirect:
		b.WriteString(" to <" + a.Address + ">")
	}
	if a.HasFlags {
		b.WriteString(" with flags (" + strings.Join(a.Flags, " ") + ")")
	}
	if a.Pos.Line > 0 {
		b.WriteString(" -- " + a.Pos.String())
	}
	return b.String()
}

// Result is what is to be done, in order, and then the implicit keep if it is
// still in force.
type Result struct {
	Actions      []Action
	ImplicitKeep bool // RFC 5228 section 2.10.2
}

// Keeps reports that the message is kept, because a script said so or because
// none said otherwise.
func (r *Result) Keeps() bool {
	return r.ImplicitKeep || slices.ContainsFunc(r.Actions, func(a Action) bool { return a.Kind == Keep })
}

// reopen makes a keep so far the implicit one again: the next script decides.
func (r *Result) reopen() {
	if r.Keeps() {
		r.ImplicitKeep = true
		r.Actions = slices.DeleteFunc(r.Actions, func(a Action) bool { return a.Kind == Keep })
	}
}

// add takes an action into the result: twice the same is once (RFC 5228
// section 2.10.3), and limits and conflicts are errors.
func (m *machine) add(a Action) error {
	for i := range m.result.Actions {
		if sameAction(&m.result.Actions[i], &a) {
			mergeFlags(&m.result.Actions[i], &a)
			return nil
		}
	}
	if len(m.result.Actions) >= m.limits.Actions {
		return m.failAt(a.Pos, "total number of actions exceeds policy limit (%d)", m.limits.Actions)
	}
	if a.Kind == Redirect && m.count(Redirect) >= m.limits.Redirects {
		return m.failAt(a.Pos, "number of redirect actions exceeds policy limit (%d)", m.limits.Redirects)
	}
	m.result.Actions = append(m.result.Actions, a)
	return nil
}

func (m *machine) count(k Kind) int {
	n := 0
	for _, a := range m.result.Actions {
		if a.Kind == k {
			n++
		}
	}
	return n
}

func sameAction(a, b *Action) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case FileInto:
		return a.Mailbox == b.Mailbox
	case Redirect:
		return strings.EqualFold(a.Address, b.Address)
	}
	return a.Kind == Keep || a.Kind == Discard
}

func mergeFlags(a, b *Action) {
	for _, f := range b.Flags {
		if !slices.ContainsFunc(a.Flags, func(x string) bool { return strings.EqualFold(x, f) }) {
			a.Flags = append(a.Flags, f)
		}
	}
	a.HasFlags = a.HasFlags || b.HasFlags
}

// cancelKeep takes the implicit keep away: RFC 5228 section 2.10.2.
func (m *machine) cancelKeep() { m.result.ImplicitKeep = false }
