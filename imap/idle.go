package imap

import (
	"context"
	"strings"
	"time"

	"gomaild/internal/gate"
)

// idle is IDLE, RFC 2177.
type idle struct{}

func (idle) run(ctx context.Context, s *session) (reply, error) {
	s.enc.Raw("+ idling\r\n")
	logoutAt := time.Now().Add(s.limits.IdleTimeout)
	for {
		var watch bool
		gate.Apart(func() { watch = s.tellChanges(ctx, false) })
		if s.draining() && !s.ended {
			s.bye("Server is shutting down")
		}
		if s.ended {
			return reply{}, nil
		}
		notifyAt := time.Now().Add(s.limits.IdleNotify)
		if logoutAt.Before(notifyAt) {
			notifyAt = logoutAt
		}
		switch err := s.awaitChange(s.nextLook(notifyAt), watch); err {
		case nil:
			return reply{}, s.readDone()
		case gate.ErrWoken: // a change or the drain: looked at above
		case gate.ErrDeadline:
			if !time.Now().Before(logoutAt) {
				s.bye("Autologout; idle for too long")
				return reply{}, nil
			}
			if !time.Now().Before(notifyAt) {
				s.enc.Raw("* OK Still here\r\n") // finds out whether the client is
			}
		default:
			s.lost = err
			return reply{}, err
		}
	}
}

// readDone reads the line that ends IDLE. What is not DONE is an error, and
// not a command: RFC 2177 section 3 allows none here.
func (s *session) readDone() error {
	line, err := s.dec.Line()
	switch {
	case err != nil:
		return err
	case s.dec.Err() != nil:
		return s.dec.Err()
	case !strings.EqualFold(strings.TrimSpace(line), "DONE"):
		return bad("DONE expected")
	}
	return nil
}
