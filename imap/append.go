package imap

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// appendMessages is APPEND, RFC 3501 section 6.3.11, with any number of
// messages (RFC 3502). When it is parsed, the first message itself is still on
// the connection: run streams it into the store.
type appendMessages struct {
	g       *grammar
	mailbox string
	first   draft
}

// draft is what precedes a message in APPEND.
type draft struct {
	flags  flagSet
	date   time.Time
	binary bool // a literal8, RFC 3516 section 4.4
	utf8   bool // UTF8 (literal8), RFC 6855 section 4
	// catenate says that a list of parts comes, RFC 4469.
	catenate bool
}

func parseAppend(g *grammar) request {
	r := appendMessages{g: g}
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	r.first = parseDraft(g)
	return r
}

func parseDraft(g *grammar) draft {
	var d draft
	if g.Peek() == '(' {
		d.flags = flagSetOf(g, g.FlagList())
		g.SP()
	}
	if g.Peek() == '"' {
		d.date = g.DateTime()
		g.SP()
	}
	if d.catenate = g.AcceptFold("CATENATE ("); d.catenate {
		return d
	}
	if d.utf8 = g.Peek() == 'U' || g.Peek() == 'u'; d.utf8 {
		if g.Word() != "UTF8" {
			g.Fail("literal expected")
		}
		g.SP()
		parseUTF8(g)
	}
	d.binary = g.Accept('~')
	size := g.LiteralSize()
	switch {
	case size > g.limits.Message:
		g.FailCode("TOOBIG", "Message is larger than the limit") // RFC 7889 section 4
	case size == 0 && g.Err() == nil:
		g.FailCode("CANNOT", "Message is empty")
	}
	return d
}

// parseUTF8 reads what comes between UTF8 and its literal8.
func parseUTF8(g *grammar) {
	if g.enabled&utf8Accept == 0 {
		g.Fail("UTF8=ACCEPT must be enabled first")
	}
	g.Expect('(')
	if g.Peek() != '~' {
		g.Fail("literal8 expected")
	}
}

func (r appendMessages) run(ctx context.Context, s *session) (reply, error) {
	mailbox, err := s.openTarget(ctx, r.mailbox)
	if err != nil {
		return reply{}, err // a synchronising client has sent nothing yet
	}
	defer func() { s.warn("close mailbox", mailbox.Close()) }()
	uids, err := mailbox.AppendAll(ctx, r.drafts(ctx, s))
	if fault := r.g.Err(); fault != nil {
		err = fault // whatever the store says of it
	}
	if err != nil {
		return reply{}, err
	}
	s.stored(mailbox.Name(), uids...)
	s.event(ctx, CauseAppend, mailbox, "", uids)
	view, err := mailbox.View(ctx)
	if err != nil {
		s.warnUnless(isUnread(err), "look at mailbox", err)
		return reply{}, nil // it is stored; only APPENDUID cannot be said
	}
	return reply{code: appendUID(view.UIDValidity, uids)}, nil
}

// drafts are the messages, one after the other as they come. What follows the octets
// of the last one read belongs to the command too: if that is wrong its content has
// an error, and none is stored (RFC 3502 section 3).
func (r appendMessages) drafts(ctx context.Context, s *session) iter.Seq[storage.Draft] {
	return func(yield func(storage.Draft) bool) {
		for next := &r.first; next != nil; {
			d := *next
			next = nil
			content := d.open(ctx, s, r.g, func() error {
				if r.g.Accept(' ') && !r.g.AtEnd() {
					following := parseDraft(r.g)
					next = &following
					return r.g.Err()
				}
				r.g.End()
				return r.g.Err()
			})
			goOn := yield(d.storage(content))
			leave(content)
			if !goOn {
				return
			}
		}
	}
}

// storeInstead stores a message that takes another's place. What follows its octets,
// which rest reads, belongs to the command too: if that is wrong, the message is
// not stored.
func (s *session) storeInstead(ctx context.Context, g *grammar, mailbox storage.Mailbox, d draft, instead *storage.Replaced, rest func() error) (storage.UID, error) {
	content := d.open(ctx, s, g, rest)
	defer leave(content)
	message := d.storage(content)
	message.Instead = instead
	uid, err := mailbox.Append(ctx, message)
	if fault := g.Err(); fault != nil {
		err = fault // whatever the store says of it
	}
	return uid, err
}

// storage is what the store is to be given.
func (d draft) storage(content io.Reader) storage.Draft {
	return storage.Draft{Content: content, Flags: d.flags.system, Keywords: d.flags.keywords, InternalDate: d.date}
}

// leave closes what is left open of a content that was not read to its end.
func leave(content io.Reader) {
	if c, ok := content.(*catenation); ok {
		c.leave()
	}
}

// open is a reader of the message's octets.
func (d draft) open(ctx context.Context, s *session, g *grammar, rest func() error) io.Reader {
	switch {
	case d.catenate:
		return &catenation{ctx: ctx, s: s, g: g, rest: rest}
	case d.utf8:
		return &lineReader{r: g.Stream(func() error {
			g.Expect(')')
			return rest()
		})}
	case d.binary:
		return &lineReader{r: g.Stream(rest)}
	}
	return g.Stream(rest)
}

// openTarget opens the mailbox that messages are to go to. If it does not
// exist, the client may create it and try again (RFC 3501 section 7.1).
func (s *session) openTarget(ctx context.Context, name string) (storage.Mailbox, error) {
	mailbox, err := s.account.Open(ctx, name)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil, no("TRYCREATE", "Mailbox does not exist")
	}
	return mailbox, err
}

// appendUID is the response code of RFC 4315 section 3, with a set for several
// messages (RFC 3502).
func appendUID(validity uint32, uids []storage.UID) string {
	code := append([]byte("APPENDUID "), strconv.FormatUint(uint64(validity), 10)...)
	return string(wire.AppendSet(append(code, ' '), uids))
}

// copyUID is the other response code of RFC 4315 section 3.
func copyUID(validity uint32, from, to []storage.UID) string {
	code := append([]byte("COPYUID "), strconv.FormatUint(uint64(validity), 10)...)
	code = wire.AppendSet(append(code, ' '), from)
	code = wire.AppendSet(append(code, ' '), to)
	return string(code)
}
