package sieve

import (
	"strings"
	"unicode/utf8"
)

// fileinto is RFC 5228 section 4.1.
type fileinto struct {
	pos        Pos
	mailbox    text
	copy       bool
	create     bool
	flags      *texts
	specialUse *text
	mailboxID  *text
}

func buildFileinto(c *checker, n *call) any {
	f := &fileinto{
		pos: n.pos, mailbox: c.string(n.args[0]), copy: n.has("copy"), create: n.has("create"),
		flags: c.flagsTag(n), specialUse: c.optional(n, "specialuse"), mailboxID: c.optional(n, "mailboxid"),
	}
	c.oneMailbox(n)
	if f.specialUse != nil {
		c.isUse(n, *f.specialUse)
	}
	if s, ok := f.mailbox.constant(); ok && !isMailboxName(s) {
		c.errorf(f.mailbox.pos, "invalid folder name '%s' specified for fileinto command", shorten(s))
	}
	return f
}

// oneMailbox refuses an id together with a use: RFC 9042 sections 4.2 and 5.
func (c *checker) oneMailbox(n *call) {
	if n.has("mailboxid") && n.has("specialuse") {
		c.errorf(n.pos, "the :mailboxid and :specialuse tags of the %s %s exclude each other", n.name, n.spec.kind())
	}
}

// optional is the string of a tag, nil without it.
func (c *checker) optional(n *call, tag string) *text {
	a, ok := n.tags[tag]
	if !ok {
		return nil
	}
	t := c.string(a)
	return &t
}

// isMailboxName reports a name that can be handed to a store: UTF-8 without
// control characters.
func isMailboxName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (f *fileinto) exec(m *machine) error {
	a, err := f.action(m)
	if err != nil {
		return err
	}
	if err := m.putFlags(&a, f.flags); err != nil {
		return err
	}
	if !f.copy {
		m.cancelKeep()
	}
	return m.add(a)
}

// action is the place without its flags.
func (f *fileinto) action(m *machine) (Action, error) {
	a := Action{Kind: FileInto, Pos: f.pos, Create: f.create}
	var err error
	if a.Mailbox, err = f.mailbox.value(m); err != nil {
		return a, err
	}
	if !isMailboxName(a.Mailbox) {
		return a, m.failAt(f.pos, "fileinto action: invalid folder name '%s'", shorten(a.Mailbox))
	}
	if a.SpecialUse, err = m.optional(f.specialUse); err != nil {
		return a, err
	}
	a.MailboxID, err = m.optional(f.mailboxID)
	return a, err
}

// optional is the value of a text that may be absent.
func (m *machine) optional(t *text) (string, error) {
	if t == nil {
		return "", nil
	}
	return t.value(m)
}
