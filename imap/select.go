package imap

import (
	"context"
	"slices"
	"strconv"

	"gomaild/storage"
)

// selectMailbox is SELECT and EXAMINE, RFC 3501 sections 6.3.1 and 6.3.2.
type selectMailbox struct {
	name     string
	readOnly bool
}

func parseSelect(readOnly bool) func(*grammar) request {
	return func(g *grammar) request {
		g.SP()
		name := g.Mailbox()
		g.End()
		return selectMailbox{name, readOnly}
	}
}

func (r selectMailbox) run(ctx context.Context, s *session) (reply, error) {
	if s.box != nil {
		// Also when the new mailbox cannot be opened, section 6.3.1.
		s.deselect()
		s.printOK("CLOSED", "Previous mailbox is closed") // RFC 7162 section 3.2.11
	}
	mailbox, err := s.account.Open(ctx, r.name)
	if err != nil {
		return reply{}, err
	}
	view, err := mailbox.View(ctx)
	if err != nil {
		s.warn("close mailbox", mailbox.Close())
		return reply{}, err
	}
	s.state = selectedState
	s.box = &selected{mailbox: mailbox, readOnly: r.readOnly, known: view, base: view, recent: map[storage.UID]struct{}{}}
	s.claimRecent(ctx, view)
	s.printSelected(view)
	if r.readOnly {
		return reply{code: "READ-ONLY"}, nil
	}
	return reply{code: "READ-WRITE"}, nil
}

func (s *session) printSelected(v *storage.View) {
	s.printKeywords(nil, v)
	s.printNumber(len(v.Messages), "EXISTS")
	s.printNumber(len(s.box.recent), "RECENT")
	if i := slices.IndexFunc(v.Messages, unseen); i >= 0 {
		s.printOK("UNSEEN "+strconv.Itoa(i+1), "First unseen message")
	}
	s.printOK("UIDVALIDITY "+strconv.FormatUint(uint64(v.UIDValidity), 10), "UIDs are valid")
	s.printOK("UIDNEXT "+strconv.FormatUint(uint64(v.UIDNext), 10), "Predicted next UID")
}

func unseen(m storage.Message) bool { return m.Flags&storage.Seen == 0 }

// closeMailbox is CLOSE (RFC 3501 section 6.4.2) and UNSELECT (RFC 3691).
type closeMailbox struct {
	expunge bool
}

func (r closeMailbox) run(ctx context.Context, s *session) (reply, error) {
	if r.expunge && !s.box.readOnly {
		if err := s.expungeDeleted(ctx, nil); err != nil {
			return reply{}, err
		}
	}
	s.deselect()
	return reply{}, nil
}
