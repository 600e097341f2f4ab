package imap

import (
	"context"
	"errors"
	"strconv"
	"time"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// appendMessage is APPEND, RFC 3501 section 6.3.11. When it is parsed, the
// message itself is still on the connection: run streams it into the store.
type appendMessage struct {
	g       *grammar
	mailbox string
	flags   flagSet
	date    time.Time
	size    int64
}

func parseAppend(g *grammar) request {
	r := appendMessage{g: g}
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	if g.Peek() == '(' {
		r.flags = flagSetOf(g, g.FlagList())
		g.SP()
	}
	if g.Peek() == '"' {
		r.date = g.DateTime()
		g.SP()
	}
	r.size = g.LiteralSize()
	switch {
	case r.size > g.limits.Message:
		g.FailCode("TOOBIG", "Message is larger than the limit") // RFC 7889 section 4
	case r.size == 0 && g.Err() == nil:
		g.FailCode("CANNOT", "Message is empty")
	}
	return r
}

func (r appendMessage) run(ctx context.Context, s *session) (reply, error) {
	mailbox, err := s.openTarget(ctx, r.mailbox)
	if err != nil {
		return reply{}, err // a synchronising client has sent nothing yet
	}
	defer func() { s.warn("close mailbox", mailbox.Close()) }()
	uid, err := mailbox.Append(ctx, storage.Draft{
		Content:      r.g.Stream(r.check),
		Flags:        r.flags.system,
		Keywords:     r.flags.keywords,
		InternalDate: r.date,
	})
	if fault := r.g.Err(); fault != nil {
		return reply{}, fault // whatever the store says of it
	}
	if err != nil {
		return reply{}, err
	}
	view, err := mailbox.View(ctx)
	if err != nil {
		s.warn("look at mailbox", err)
		return reply{}, nil // it is stored; only APPENDUID cannot be said
	}
	return reply{code: appendUID(view.UIDValidity, uid)}, nil
}

// check looks at what follows the message: nothing, or it is not stored.
func (r appendMessage) check() error {
	r.g.End()
	return r.g.Err()
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

// appendUID is the response code of RFC 4315 section 3.
func appendUID(validity uint32, uid storage.UID) string {
	return "APPENDUID " + strconv.FormatUint(uint64(validity), 10) + " " + strconv.FormatUint(uint64(uid), 10)
}

// copyUID is the other response code of RFC 4315 section 3.
func copyUID(validity uint32, from, to []storage.UID) string {
	code := append([]byte("COPYUID "), strconv.FormatUint(uint64(validity), 10)...)
	code = wire.AppendSet(append(code, ' '), from)
	code = wire.AppendSet(append(code, ' '), to)
	return string(code)
}
