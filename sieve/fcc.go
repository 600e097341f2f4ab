package sieve

// fcc is where the copy of what a command sends goes (RFC 8580 section 3); nil
// if there is to be none.
func (c *checker) fcc(n *call) *fileinto {
	box := c.optional(n, "fcc")
	if box == nil {
		for _, tag := range placeTags {
			if n.has(tag.name) {
				c.errorf(n.pos, "the :%s tag of the %s command requires :fcc", tag.name, n.name)
			}
		}
		return nil
	}
	c.oneMailbox(n)
	if s, ok := box.constant(); ok && !isMailboxName(s) {
		c.errorf(box.pos, "invalid folder name '%s' specified for :fcc", shorten(s))
	}
	return &fileinto{
		pos: n.pos, mailbox: *box, create: n.has("create"),
		flags: c.flagsTag(n), specialUse: c.optional(n, "specialuse"), mailboxID: c.optional(n, "mailboxid"),
	}
}

// fcc is the FileInto of a copy. The internal variable of imap4flags is about
// the message that came: a copy has the flags of its tag, or none.
func (m *machine) fcc(f *fileinto) (*Action, error) {
	if f == nil {
		return nil, nil
	}
	a, err := f.action(m)
	if err == nil && f.flags != nil {
		err = m.putFlags(&a, f.flags)
	}
	return &a, err
}
