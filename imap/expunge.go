package imap

import (
	"context"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// expunge is EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315
// section 2.1).
type expunge struct {
	uids wire.NumSet // nil for EXPUNGE
}

func parseUIDExpunge(g *grammar) request {
	g.SP()
	set := g.NumSet()
	g.End()
	return expunge{set}
}

func (r expunge) run(ctx context.Context, s *session) (reply, error) {
	if s.box.readOnly {
		return reply{}, storage.ErrReadOnly
	}
	removed, err := s.expungeDeleted(ctx, r.uids)
	if err != nil || removed == 0 {
		return reply{}, err
	}
	return s.afterExpunge(ctx)
}

// expungeDeleted removes the messages that are \Deleted now, of all or of a
// set. It looks at the mailbox afresh: another session may have taken the flag
// back, and then the message must stay. It returns how many they were.
func (s *session) expungeDeleted(ctx context.Context, set wire.NumSet) (removed int, err error) {
	now, err := s.box.mailbox.View(ctx)
	if err != nil {
		return 0, err
	}
	within := positions{{0, len(now.Messages)}}
	if set != nil {
		if within, err = s.box.resolve(now, set, true); err != nil {
			return 0, err
		}
	}
	var uids []storage.UID
	for i := range within.all() {
		m := now.Messages[i]
		if m.Flags&storage.Deleted != 0 {
			uids = append(uids, m.UID)
		}
	}
	if len(uids) == 0 {
		return 0, nil
	}
	return len(uids), s.box.mailbox.Expunge(ctx, uids)
}
