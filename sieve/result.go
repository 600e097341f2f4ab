package sieve

import (
	"slices"
	"strconv"
	"strings"

	"gomaild/message"
)

// Kind says what an Action does.
type Kind int

// The kinds of actions.
const (
	Keep Kind = iota // store in the inbox, or where delivery would put it
	FileInto
	Redirect
	Discard
	Reject        // refuse with Reason (RFC 5429)
	Notify        // send Notification, see its Send
	VacationReply // answer with Vacation, see its Reply
	SendReport    // send Report, see its Send
	Pipe          // run Program over the message
)

// String is the name of the command, "store" for FileInto, as in the test
// suite's test_result_action.
func (k Kind) String() string {
	return [...]string{"keep", "store", "redirect", "discard", "reject", "notify", "vacation", "report", "pipe"}[k]
}

// Action is one thing to do with the message.
type Action struct {
	Kind         Kind
	Pos          Pos             // the command that decided
	Mailbox      string          // FileInto: UTF-8 name
	Create       bool            // FileInto: make it if it is missing (RFC 5490)
	SpecialUse   string          // FileInto: prefer the mailbox of that use (RFC 8579)
	MailboxID    string          // FileInto: prefer the mailbox of that id (RFC 9042)
	Flags        []string        // Keep, FileInto: system flags and keywords
	HasFlags     bool            // Flags were given by tag or by the flag commands
	Address      string          // Redirect: where to
	Reason       string          // Reject: text for the sender
	Reported     bool            // Reject: no reply can hold Reason, see Refusal
	Vacation     *Vacation       // VacationReply
	Notification *Notification   // Notify
	Report       *Report         // SendReport
	Program      *Program        // Pipe: what to run, with Content or the message as its input
	Try          bool            // Pipe: that it fails is no error of the script
	ElseKeep     bool            // Pipe: if it fails the implicit keep is in force again
	Content      message.Content // the message as it was then if a script had changed it, else nil

	elseKeep  bool
	inSession bool // Reject: by ereject, which sends nothing
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
	case Pipe:
		b.WriteString(" to " + strconv.Quote(a.Program.Name))
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
	ImplicitKeep bool            // RFC 5228 section 2.10.2
	Flags        []string        // of the implicit keep
	Content      message.Content // of the implicit keep if a script had changed it, else nil
	Marks        []Mark          // what duplicate is to remember once all is done
	Problems     []Diagnostic    // what went wrong without ending a script, for its owner
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
	if a.Kind == Reject && m.count(Reject) > 0 && m.executed > 0 {
		return nil // the sender was told already
	}
	for i := range m.result.Actions {
		if sameAction(&m.result.Actions[i], &a) {
			mergeFlags(&m.result.Actions[i], &a)
			return nil
		}
	}
	if err := m.conflict(a); err != nil {
		return err
	}
	if len(m.result.Actions) >= m.limits.Actions {
		return m.failAt(a.Pos, "total number of actions exceeds policy limit (%d)", m.limits.Actions)
	}
	if a.Kind == Redirect && m.count(Redirect) >= m.limits.Redirects {
		return m.failAt(a.Pos, "number of redirect actions exceeds policy limit (%d)", m.limits.Redirects)
	}
	var err error
	if a.Content, err = m.current(a.Pos); err != nil {
		return err
	}
	if a.Kind == Redirect {
		if a.Content, err = m.msg.sent(); err != nil {
			return m.fault(a.Pos, err)
		}
	}
	m.result.Actions = append(m.result.Actions, a)
	return nil
}

// conflict says which actions cannot be together: RFC 5429 section 2.1.3, RFC
// 5230 section 4.7.
func (m *machine) conflict(a Action) error {
	for _, b := range m.result.Actions[m.executed:] {
		switch {
		case a.Kind == VacationReply && b.Kind == VacationReply:
			return m.failAt(a.Pos, "duplicate vacation action not allowed (previously triggered one was here: %s)", b.Pos)
		case rejects(a.Kind) && refusedWith(b.Kind), rejects(b.Kind) && refusedWith(a.Kind):
			return m.failAt(a.Pos, "%s action conflicts with earlier %s action (here: %s)", a.Kind, b.Kind, b.Pos)
		}
	}
	return nil
}

func rejects(k Kind) bool { return k == Reject }

// refusedWith are the actions that a refusal contradicts.
func refusedWith(k Kind) bool { return k != Discard }

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
		return a.Address == b.Address // the domain is folded, the local part is not to be (RFC 5321 section 2.4)
	}
	return a.Kind == Keep || a.Kind == Discard
}

// mergeFlags: of two stores into one mailbox the last list of flags counts.
func mergeFlags(a, b *Action) {
	if b.HasFlags {
		a.Flags, a.HasFlags = b.Flags, true
	}
}

// cancelKeep takes the implicit keep away: RFC 5228 section 2.10.2.
func (m *machine) cancelKeep() { m.result.ImplicitKeep, m.cancelled = false, true }
