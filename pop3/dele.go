package pop3

import (
	"context"
	"errors"
	"fmt"

	"gomaild/storage"
)

// dele is DELE. The message goes at QUIT.
func (s *session) dele(_ context.Context, arg string) error {
	_, m, err := s.message(arg)
	if err != nil {
		return err
	}
	m.deleted = true
	s.ok("Marked to be deleted")
	return nil
}

// rset is RSET.
func (s *session) rset(context.Context, string) error {
	for i := range s.drop.messages {
		s.drop.messages[i].deleted = false
	}
	s.ok("")
	return nil
}

func (s *session) noop(context.Context, string) error {
	s.ok("")
	return nil
}

// quit is QUIT: after a login the update state of RFC 1939 section 6, where
// alone anything is changed. The session ends whatever comes of it.
func (s *session) quit(ctx context.Context, _ string) error {
	s.ended = true
	if s.state == authorization {
		s.ok("Logging out")
		return nil
	}
	gone := s.drop.uids(func(m *letter) bool { return m.deleted })
	if err := s.update(ctx, gone); err != nil {
		s.log.Error("update maildrop", "error", err)
		return &failure{"SYS/TEMP", "Some deleted messages were not removed"}
	}
	if len(gone) > 0 {
		s.log.Info("messages removed", "count", len(gone))
	}
	s.ok(fmt.Sprintf("Logging out, %d messages deleted", len(gone)))
	return nil
}

func (s *session) update(ctx context.Context, gone []storage.UID) error {
	var err error
	if len(gone) > 0 {
		err = s.drop.box.Expunge(ctx, gone)
	}
	seen := s.drop.uids(func(m *letter) bool { return m.retrieved && !m.deleted })
	if !s.srv.cfg.MarkSeen || len(seen) == 0 {
		return err
	}
	_, seenErr := s.drop.box.SetFlags(ctx, seen, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}, 0)
	return errors.Join(err, seenErr)
}
