package imap

import (
	"context"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// copyMessages is COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851), by
// message number or UID.
type copyMessages struct {
	set   wire.NumSet
	to    string
	byUID bool
	move  bool
}

func parseCopy(byUID, move bool) func(*grammar) request {
	return func(g *grammar) request {
		g.SP()
		set := g.NumSet()
		g.SP()
		to := g.Mailbox()
		g.End()
		return copyMessages{set, to, byUID, move}
	}
}

func (r copyMessages) run(ctx context.Context, s *session) (reply, error) {
	if r.move && s.box.readOnly {
		return reply{}, storage.ErrReadOnly
	}
	where, err := s.box.resolve(s.box.known, r.set, r.byUID)
	if err != nil {
		return reply{}, err
	}
	target, err := s.openTarget(ctx, r.to)
	if err != nil {
		return reply{}, err
	}
	defer func() { s.warn("close mailbox", target.Close()) }()
	if len(where) == 0 {
		return reply{text: "No messages found"}, nil
	}
	from := where.uids(s.box.known)
	put := s.box.mailbox.Copy
	if r.move {
		put = s.box.mailbox.Move
	}
	to, err := put(ctx, from, target)
	if err != nil {
		return reply{}, err
	}
	s.event(ctx, CauseCopy, target, s.box.mailbox.Name(), to)
	s.stored(target.Name(), to...)
	view, err := target.View(ctx)
	if err != nil {
		s.warnUnless(isUnread(err), "look at mailbox", err)
		if r.move {
			return s.afterExpunge(ctx)
		}
		return reply{}, nil // it is done; only COPYUID cannot be said
	}
	code := copyUID(view.UIDValidity, from, to)
	if !r.move {
		return reply{code: code}, nil
	}
	s.printOK(code, "Moved") // before the EXPUNGEs, RFC 6851 section 4.3
	return s.afterExpunge(ctx)
}
