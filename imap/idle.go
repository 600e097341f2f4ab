package imap

import (
	"context"
	"strings"
	"sync"
	"time"
)

// idle is IDLE, RFC 2177.
type idle struct{}

func (idle) run(ctx context.Context, s *session) (reply, error) {
	s.enc.Raw("+ idling\r\n")
	logoutAt := time.Now().Add(s.limits.IdleTimeout)
	for {
		if s.box != nil {
			if err := s.sync(ctx, false); err != nil {
				return reply{}, err
			}
		}
		if s.draining() {
			s.bye("Server is shutting down")
			return reply{}, nil
		}
		notifyAt := time.Now().Add(s.limits.IdleNotify)
		if logoutAt.Before(notifyAt) {
			notifyAt = logoutAt
		}
		switch err := s.awaitChange(notifyAt); err {
		case nil:
			return reply{}, s.readDone()
		case errWoken: // a change or the drain: looked at above
		case errDeadline:
			if !time.Now().Before(logoutAt) {
				s.bye("Autologout; idle for too long")
				return reply{}, nil
			}
			s.enc.Raw("* OK Still here\r\n") // finds out whether the client is
		default:
			return reply{}, err
		}
	}
}

// awaitChange is await that a change of the mailbox ends too, with errWoken.
// A goroutine waits for the change meanwhile; it has ended on return.
func (s *session) awaitChange(deadline time.Time) error {
	if s.box == nil {
		return s.await(deadline)
	}
	changed := s.box.mailbox.Changed(s.box.base)
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-changed:
			s.gate.wake()
		case <-stop:
		}
	})
	err := s.await(deadline)
	close(stop)
	watcher.Wait()
	return err
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
