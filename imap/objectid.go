package imap

import (
	"context"

	"gomaild/storage"
)

// objectID prints `NAME (id)`, or `NAME NIL` where there is none (RFC 8474
// section 5).
func (s *session) objectID(name, id string) {
	s.enc.Raw(name)
	if id == "" {
		s.enc.Raw(" NIL")
		return
	}
	s.enc.Raw(" (" + id + ")")
}

// mailboxID is the response code of RFC 8474 section 4.
func mailboxID(v *storage.View) string { return "MAILBOXID (" + v.MailboxID + ")" }

// created is the reply of CREATE, with the mailbox's id (RFC 8474 section 4.1).
func (s *session) created(ctx context.Context, name string) (reply, error) {
	mailbox, err := s.account.Open(ctx, name)
	if err != nil {
		s.warn("look at new mailbox", err)
		return reply{}, nil // it is made; only the code cannot be said
	}
	defer func() { s.warn("close mailbox", mailbox.Close()) }()
	view, err := mailbox.View(ctx)
	if err != nil {
		s.warn("look at new mailbox", err)
		return reply{}, nil
	}
	return reply{code: mailboxID(view)}, nil
}

// objectIDKey is the search key EMAILID or THREADID.
func (p *searchParser) objectIDKey(of func(storage.Info) string) searchKey {
	p.g.SP()
	id := p.g.Atom()
	return byInfo(func(i storage.Info) bool { return of(i) == id })
}
