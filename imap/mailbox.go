package imap

import "context"

// createMailbox is CREATE, RFC 3501 section 6.3.3, with the special uses of
// RFC 6154 section 3.
type createMailbox struct {
	name string
	uses []string
}

func parseCreate(g *grammar) request {
	g.SP()
	r := createMailbox{name: g.Mailbox()}
	if g.Accept(' ') && g.Peek() == '(' {
		r.uses = parseUses(g)
	}
	g.End()
	return r
}

func (r createMailbox) run(ctx context.Context, s *session) (reply, error) {
	if r.name == "" {
		return reply{}, no("CANNOT", "Mailbox name is empty")
	}
	if err := s.account.Create(ctx, r.name); err != nil {
		return reply{}, err
	}
	if err := s.setUses(ctx, r.name, r.uses); err != nil {
		s.warn("delete the mailbox again", s.account.Delete(ctx, r.name))
		return reply{}, err
	}
	s.did(ctx)
	return s.created(ctx, r.name)
}

// deleteMailbox is DELETE, RFC 3501 section 6.3.4.
type deleteMailbox struct{ name string }

func parseDelete(g *grammar) request {
	g.SP()
	name := g.Mailbox()
	g.End()
	return deleteMailbox{name}
}

func (r deleteMailbox) run(ctx context.Context, s *session) (reply, error) {
	if err := s.account.Delete(ctx, r.name); err != nil {
		return reply{}, err
	}
	s.did(ctx)
	if s.box != nil && s.box.mailbox.Name() == r.name {
		s.deselect()
		s.printOK("CLOSED", "Selected mailbox is deleted")
	}
	return reply{}, nil
}

// renameMailbox is RENAME, RFC 3501 section 6.3.5.
type renameMailbox struct{ from, to string }

func parseRename(g *grammar) request {
	g.SP()
	from := g.Mailbox()
	g.SP()
	to := g.Mailbox()
	g.End()
	return renameMailbox{from, to}
}

func (r renameMailbox) run(ctx context.Context, s *session) (reply, error) {
	if r.to == "" {
		return reply{}, no("CANNOT", "Mailbox name is empty")
	}
	if err := s.account.Rename(ctx, r.from, r.to); err != nil {
		return reply{}, err
	}
	s.did(ctx)
	return reply{}, nil
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE, RFC 3501 sections 6.3.6 and 6.3.7.
type subscribe struct {
	name string
	on   bool
}

func parseSubscribe(on bool) func(*grammar) request {
	return func(g *grammar) request {
		g.SP()
		name := g.Mailbox()
		g.End()
		return subscribe{name, on}
	}
}

func (r subscribe) run(ctx context.Context, s *session) (reply, error) {
	if err := s.account.Subscribe(ctx, r.name, r.on); err != nil {
		return reply{}, err
	}
	s.did(ctx)
	return reply{}, nil
}
