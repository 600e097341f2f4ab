package sieve

// reject is reject and ereject: RFC 5429.
type reject struct {
	pos     Pos
	reason  text
	session bool // ereject
}

func buildReject(c *checker, n *call) any {
	return &reject{n.pos, c.string(n.args[0]), n.name == "ereject"}
}

func (r *reject) exec(m *machine) error {
	reason, err := r.reason.value(m)
	if err != nil {
		return err
	}
	m.cancelKeep()
	return m.add(Action{Kind: Reject, Pos: r.pos, Reason: reason, Reported: !r.session && !isASCII(reason), inSession: r.session})
}

// Refusal is the notification (RFC 8098) that tells the sender the Reason of a
// Reject which is Reported: RFC 5429 section 2.2.1. The original in it is as it
// came, whatever the script changed. Without a sender it is nil: nobody is told.
func (a *Action) Refusal(env *Env) (*Outgoing, error) {
	sender, err := parseMailbox(env.From)
	if err != nil {
		return nil, nil
	}
	original, err := readOriginal(env.Message, false)
	if err != nil {
		return nil, err
	}
	user := pathOf(env.To)
	r := multipartReport{
		from: user, to: sender.String(), subject: "Rejected: " + original.subject, auto: "auto-replied (rejected)",
		kind:  "disposition-notification",
		text:  "Your message to " + user + " was refused by the recipient's mail filter.\nThe reason given is:\n\n" + a.Reason,
		about: original,
	}
	return &Outgoing{To: []string{sender.String()}, Content: r.compose(env, func(b *headerWriter) {
		b.field("Reporting-UA", "gomaild")
		b.field("Final-Recipient", "rfc822;"+user)
		if original.id != "" {
			b.field("Original-Message-ID", original.id)
		}
		b.field("Disposition", "automatic-action/MDN-sent-automatically; deleted")
	})}, nil
}
