package imap

import (
	"context"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// replace is REPLACE and UID REPLACE, RFC 8508: a message takes the place of
// another. When it is parsed, the message is still on the connection.
type replace struct {
	g       *grammar
	set     wire.NumSet
	byUID   bool
	mailbox string
	draft   draft
}

func parseReplace(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := replace{g: g, byUID: byUID}
		g.SP()
		if r.set = g.NumSet(); len(r.set) != 1 || r.set[0].First != r.set[0].Last || r.set[0].Saved {
			g.Fail("one message is replaced")
		}
		g.SP()
		r.mailbox = g.Mailbox()
		g.SP()
		r.draft = parseDraft(g)
		return r
	}
}

func (r replace) run(ctx context.Context, s *session) (reply, error) {
	if s.box.readOnly {
		return reply{}, storage.ErrReadOnly
	}
	where, err := s.box.resolve(s.box.known, r.set, r.byUID)
	if err != nil {
		return reply{}, err
	}
	if len(where) == 0 {
		return reply{}, no("NONEXISTENT", "No such message") // RFC 8508 section 3.4
	}
	target, err := s.openTarget(ctx, r.mailbox)
	if err != nil {
		return reply{}, err
	}
	defer func() { s.warn("close mailbox", target.Close()) }()
	old := &storage.Replaced{In: s.box.mailbox, UID: where.uids(s.box.known)[0]}
	uid, err := s.storeInstead(ctx, r.g, target, r.draft, old, func() error {
		r.g.End()
		return r.g.Err()
	})
	if err != nil {
		return reply{}, err
	}
	// The new one is there for ever; only now may the old one go.
	if err := s.box.mailbox.Expunge(ctx, where.uids(s.box.known)); err != nil {
		s.warn("take back message", target.Expunge(context.WithoutCancel(ctx), []storage.UID{uid}))
		return reply{}, err
	}
	s.event(ctx, CauseAppend, target, "", []storage.UID{uid})
	view, err := target.View(ctx)
	if err != nil {
		s.warnUnless(isUnread(err), "look at mailbox", err)
	} else {
		s.printOK(appendUID(view.UIDValidity, []storage.UID{uid}), "Replacement is stored") // before the EXPUNGE, section 3.3
	}
	return s.afterExpunge(ctx)
}
