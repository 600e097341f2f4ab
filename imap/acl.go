package imap

import (
	"context"
	"strings"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// errNoACL answers the commands of RFC 4314 where there are no lists.
var errNoACL = bad("access control lists are not in use")

// rightsText is a set of rights as RFC 4314 section 2.1.1 wants it: with the
// older c and d where one of the rights is there that took their place.
func rightsText(r storage.Rights) string {
	text := r.String()
	if r&(storage.RightCreate|storage.RightDelete) != 0 {
		text += "c"
	}
	if r&(storage.RightDeleted|storage.RightExpunge) != 0 {
		text += "d"
	}
	return text
}

// identifiers are those with a meaning of their own, as Dovecot names them.
var identifiers = map[string]storage.GrantKind{
	"anyone": storage.GrantAnyone, "authenticated": storage.GrantAuthenticated, "owner": storage.GrantOwner,
}

const (
	groupPrefix    = "$"
	overridePrefix = "!$"
)

// parseIdentifier reads whom an entry is for.
func parseIdentifier(g *grammar) storage.Grant {
	var e storage.Grant
	name := g.AString()
	name, e.Negative = strings.CutPrefix(name, "-")
	kind, special := identifiers[name]
	switch {
	case name == "":
		g.Fail("identifier expected")
	case strings.HasPrefix(name, "#"):
		g.Fail("identifiers do not begin with #")
	case special:
		e.Kind = kind
	case strings.HasPrefix(name, groupPrefix):
		e.Kind, e.Name = storage.GrantGroup, name[len(groupPrefix):]
	case strings.HasPrefix(name, overridePrefix):
		e.Kind, e.Name = storage.GrantGroupOverride, name[len(overridePrefix):]
	default:
		e.Kind, e.Name = storage.GrantUser, name
	}
	return e
}

func identifierText(e storage.Grant) string {
	name := e.Name
	switch e.Kind {
	case storage.GrantGroup:
		name = groupPrefix + name
	case storage.GrantGroupOverride:
		name = overridePrefix + name
	case storage.GrantUser:
	default:
		for text, kind := range identifiers {
			if kind == e.Kind {
				name = text
			}
		}
	}
	if e.Negative {
		name = "-" + name
	}
	if e.Global {
		name = "#" + name // as Dovecot shows them; no client can change one
	}
	return name
}

// setACL is SETACL, RFC 4314 section 3.1.
type setACL struct {
	mailbox string
	op      storage.FlagOp
	entry   storage.Grant
}

func parseSetACL(g *grammar) request {
	var r setACL
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	r.entry = parseIdentifier(g)
	g.SP()
	letters := g.AString()
	switch {
	case strings.HasPrefix(letters, "+"):
		r.op, letters = storage.AddFlags, letters[1:]
	case strings.HasPrefix(letters, "-"):
		r.op, letters = storage.RemoveFlags, letters[1:]
	}
	var known bool
	if r.entry.Rights, known = storage.ParseRights(letters); !known {
		g.Fail("unknown right")
	}
	g.End()
	return r
}

func (r setACL) run(ctx context.Context, s *session) (reply, error) {
	a, ok := s.guarded()
	if !ok {
		return reply{}, errNoACL
	}
	return reply{}, a.Grant(ctx, r.mailbox, r.op, r.entry)
}

// deleteACL is DELETEACL, RFC 4314 section 3.2.
type deleteACL struct {
	mailbox string
	entry   storage.Grant
}

func parseDeleteACL(g *grammar) request {
	var r deleteACL
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	r.entry = parseIdentifier(g)
	g.End()
	return r
}

func (r deleteACL) run(ctx context.Context, s *session) (reply, error) {
	a, ok := s.guarded()
	if !ok {
		return reply{}, errNoACL
	}
	return reply{}, a.Revoke(ctx, r.mailbox, r.entry)
}

// getACL is GETACL, RFC 4314 section 3.3.
type getACL struct{ mailbox string }

func parseGetACL(g *grammar) request {
	g.SP()
	r := getACL{g.Mailbox()}
	g.End()
	return r
}

func (r getACL) run(ctx context.Context, s *session) (reply, error) {
	a, ok := s.guarded()
	if !ok {
		return reply{}, errNoACL
	}
	list, err := a.Grants(ctx, r.mailbox)
	if err != nil {
		return reply{}, err
	}
	s.enc.Raw("* ACL ")
	s.enc.Mailbox(r.mailbox)
	for _, e := range list {
		s.enc.Byte(' ')
		s.enc.AString(identifierText(e))
		s.enc.Byte(' ')
		s.enc.AString(rightsText(e.Rights))
	}
	s.enc.CRLF()
	return reply{}, nil
}

// listRights is LISTRIGHTS, RFC 4314 section 3.4: each right can be given apart
// from the others, and an owner always has a.
type listRights struct {
	mailbox, name string
	entry         storage.Grant
}

func parseListRights(g *grammar) request {
	var r listRights
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	r.entry = parseIdentifier(g)
	r.name = identifierText(r.entry)
	g.End()
	return r
}

func (r listRights) run(ctx context.Context, s *session) (reply, error) {
	a, ok := s.guarded()
	if !ok {
		return reply{}, errNoACL
	}
	if _, err := a.Grants(ctx, r.mailbox); err != nil {
		return reply{}, err
	}
	always := ""
	if r.isOwners(s, a) {
		always = "a"
	}
	s.enc.Raw("* LISTRIGHTS ")
	s.enc.Mailbox(r.mailbox)
	s.enc.Byte(' ')
	s.enc.AString(r.name)
	s.enc.Byte(' ')
	s.enc.AString(always)
	for _, letter := range storage.RightLetters + "cd" {
		if string(letter) != always {
			s.enc.Raw(" " + string(letter))
		}
	}
	s.enc.CRLF()
	return reply{}, nil
}

func (r listRights) isOwners(s *session, a storage.Guarded) bool {
	own := !strings.HasPrefix(r.mailbox, a.SharedPrefix()) && !r.entry.Negative
	return own && (r.entry.Kind == storage.GrantOwner || r.entry.Kind == storage.GrantUser && r.entry.Name == s.identity.Account.Local+"@"+s.identity.Account.Domain)
}

// myRights is MYRIGHTS, RFC 4314 section 3.5.
type myRights struct{ mailbox string }

func parseMyRights(g *grammar) request {
	g.SP()
	r := myRights{g.Mailbox()}
	g.End()
	return r
}

func (r myRights) run(ctx context.Context, s *session) (reply, error) {
	a, ok := s.guarded()
	if !ok {
		return reply{}, errNoACL
	}
	rights, err := a.Rights(ctx, r.mailbox)
	if err != nil {
		return reply{}, err
	}
	s.printMyRights(r.mailbox, rights)
	return reply{}, nil
}

func (s *session) printMyRights(mailbox string, r storage.Rights) {
	s.enc.Raw("* MYRIGHTS ")
	s.enc.Mailbox(mailbox)
	s.enc.Byte(' ')
	s.enc.AString(rightsText(r))
	s.enc.CRLF()
}

// parseMyRightsOption is the return option of RFC 8440.
func (r *list) parseMyRightsOption(g *grammar) {
	if r.myRights = g.lists; !g.lists {
		g.Fail("unknown LIST return option")
	}
}

// printListedRights is what LIST-MYRIGHTS adds to a mailbox. RFC 8440 section 4: none
// where the server cannot tell.
func (s *session) printListedRights(ctx context.Context, info storage.MailboxInfo) {
	if info.NoSelect {
		return
	}
	rights, err := s.rightsOf(ctx, info.Name)
	if err == nil {
		s.printMyRights(info.Name, rights)
	} else if !isUnread(err) {
		s.warn("rights to "+info.Name, err)
	}
}

// isOthers reports whether a mailbox is in another account.
func (s *session) isOthers(mailbox string) bool {
	a, ok := s.guarded()
	return ok && strings.HasPrefix(mailbox, a.SharedPrefix())
}

// printOthersNamespace is what NAMESPACE says of mailboxes of others (RFC 2342
// section 5).
func (s *session) printOthersNamespace() {
	a, ok := s.guarded()
	if !ok {
		s.enc.Raw("NIL")
		return
	}
	prefix := a.SharedPrefix()
	if !s.enc.UTF8 {
		prefix = wire.EncodeUTF7(prefix) // RFC 2342 section 6
	}
	s.enc.Raw("((")
	s.enc.String(prefix)
	s.enc.Raw(` "/"))`)
}
