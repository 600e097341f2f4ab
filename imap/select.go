package imap

import (
	"context"
	"slices"
	"strconv"

	"gomaild/storage"
)

// selectMailbox is SELECT and EXAMINE, RFC 3501 sections 6.3.1 and 6.3.2, with
// the parameters of RFC 7162.
type selectMailbox struct {
	name      string
	readOnly  bool
	condstore bool
	resync    *resync
}

func parseSelect(readOnly bool) func(*grammar) request {
	return func(g *grammar) request {
		g.SP()
		r := selectMailbox{name: g.Mailbox(), readOnly: readOnly}
		if g.Accept(' ') && g.Peek() == '(' {
			r.parseParams(g)
		}
		g.End()
		return r
	}
}

func (r selectMailbox) run(ctx context.Context, s *session) (reply, error) {
	if r.resync != nil && s.enabled&qresync == 0 {
		return reply{}, bad("QRESYNC must be enabled first") // RFC 7162 section 3.2.5
	}
	if s.box != nil {
		// Also when the new mailbox cannot be opened, section 6.3.1.
		s.deselect()
		s.printOK("CLOSED", "Previous mailbox is closed") // RFC 7162 section 3.2.11
	}
	if r.condstore {
		s.useModSeq()
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
	rights, err := s.rightsOf(ctx, mailbox.Name())
	if err != nil {
		s.warn("close mailbox", mailbox.Close())
		return reply{}, err
	}
	s.state = selectedState
	s.box = &selected{mailbox: mailbox, examined: r.readOnly, recent: map[storage.UID]struct{}{}}
	s.setRights(rights)
	s.box.known, s.box.base, s.box.fresh = view, view, view
	s.claimRecent(ctx, view)
	s.printSelected(view)
	s.printSelectedName(mailbox.Name())
	if r.resync != nil {
		if err := r.resync.print(ctx, s); err != nil {
			s.deselect()
			return reply{}, err
		}
	}
	if s.box.readOnly {
		return reply{code: "READ-ONLY"}, nil
	}
	return reply{code: "READ-WRITE"}, nil
}

func (s *session) printSelected(v *storage.View) {
	s.printKeywords(nil, v)
	s.printNumber(len(v.Messages), "EXISTS")
	s.printRecent()
	if i := slices.IndexFunc(v.Messages, unseen); i >= 0 && s.enabled&imap4rev2 == 0 {
		s.printOK("UNSEEN "+strconv.Itoa(i+1), "First unseen message")
	}
	s.printOK(mailboxID(v), "Name for ever") // RFC 8474 section 4.2
	s.printOK("UIDVALIDITY "+strconv.FormatUint(uint64(v.UIDValidity), 10), "UIDs are valid")
	s.printOK("UIDNEXT "+strconv.FormatUint(uint64(v.UIDNext), 10), "Predicted next UID")
	s.printHighestModSeq(v)
}

func unseen(m storage.Message) bool { return m.Flags&storage.Seen == 0 }

// closeMailbox is CLOSE (RFC 3501 section 6.4.2) and UNSELECT (RFC 3691).
type closeMailbox struct {
	expunge bool
}

func (r closeMailbox) run(ctx context.Context, s *session) (reply, error) {
	if r.expunge && !s.box.readOnly && s.box.rights.Has(storage.RightExpunge) {
		if _, err := s.expungeDeleted(ctx, nil); err != nil {
			return reply{}, err
		}
	}
	s.deselect()
	return reply{}, nil
}
