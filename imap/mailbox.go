package imap

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"

	"gomaild/storage"
)

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
	name := s.netUnicode(r.name)
	if err := s.account.Create(ctx, name); err != nil {
		return reply{}, err
	}
	if err := s.setUses(ctx, name, r.uses); err != nil {
		s.warn("delete the mailbox again", s.account.Delete(ctx, name))
		return reply{}, err
	}
	s.did(ctx)
	if name != r.name {
		s.printOldName(nil, name, r.name)
	}
	return s.created(ctx, name)
}

// netUnicode is the name that a mailbox gets: what a client that speaks UTF-8
// creates is normalised (RFC 9051 sections 5.1 and 6.3.4). Names that exist are
// left as they are, as are those in modified UTF-7.
func (s *session) netUnicode(name string) string {
	if !s.dec.UTF8 {
		return name
	}
	return norm.NFC.String(name)
}

// printOldName is the LIST response that tells which name a mailbox had, or was
// given by a client (RFC 9051 section 6.3.9.7).
func (s *session) printOldName(attrs []string, name, old string) {
	s.enc.Raw("* LIST (" + strings.Join(attrs, " ") + `) "/" `)
	s.enc.Mailbox(name)
	s.enc.Raw(` ("OLDNAME" (`)
	s.enc.Mailbox(old)
	s.enc.Raw("))\r\n")
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
		return reply{}, r.orChildren(ctx, s, err)
	}
	s.did(ctx)
	if s.box != nil && s.box.mailbox.Name() == r.name {
		s.deselect()
		s.printOK("CLOSED", "Selected mailbox is deleted")
	}
	return reply{}, nil
}

// orChildren is why a name without a mailbox cannot be deleted: there are others
// below it (RFC 9051 section 6.3.5), or it is not there at all.
func (r deleteMailbox) orChildren(ctx context.Context, s *session, err error) error {
	if !errors.Is(err, storage.ErrNoMailbox) && !errors.Is(err, storage.ErrNoSelect) {
		return err
	}
	tree, fault := s.mailboxTree(ctx, false)
	s.warn("list mailboxes", fault)
	if fault == nil && tree.parents[r.name] {
		return no("HASCHILDREN", "Mailboxes below this name must be deleted first")
	}
	return err
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
	to := s.netUnicode(r.to)
	if err := s.account.Rename(ctx, r.from, to); err != nil {
		return reply{}, err
	}
	if r.from == "INBOX" {
		s.warn("copy annotations of INBOX", s.copyNotes(ctx, r.from, to))
		s.tellOthers(news{inboxTo: to})
	}
	s.did(ctx)
	if to != r.to {
		s.printOldName(nil, to, r.from)
	}
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
