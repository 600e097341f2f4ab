package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gomaild/internal/gate"
	"gomaild/storage"
)

// did notes what this client did to names of mailboxes: it knows.
func (s *session) did(ctx context.Context) {
	if s.notify != nil && s.notify.wanted != 0 {
		s.warn("list mailboxes", s.notify.look(ctx, false))
	}
	s.tellOthers(news{})
}

// tellChanges tells the client what happened, as far as it wants to hear. With
// hold messages that are gone are held. It reports whether looking again makes
// sense.
func (s *session) tellChanges(ctx context.Context, hold bool) bool {
	ok := true
	switch {
	case s.notify == nil && s.box != nil:
		ok = s.syncOrEnd(ctx, hold)
	case s.notify != nil && s.box != nil && s.notify.selected.events != 0:
		ok = s.syncOrEnd(ctx, hold)
	}
	s.tellNotified(ctx)
	return ok
}

func (s *session) tellNotified(ctx context.Context) {
	switch {
	case s.ended:
	case s.notify != nil:
		s.notify.tell(ctx)
	case s.heard != nil:
		queue, _ := s.heard.take()
		for _, one := range queue {
			if one.entries != nil {
				s.printMetadata(one)
			}
		}
	}
}

// expunging are the commands whose own untagged responses come from looking at
// the mailbox, whatever the client wants to hear of.
var expunging = []string{"EXPUNGE", "MOVE", "NOTIFY", "REPLACE", "UID EXPUNGE", "UID MOVE", "UID REPLACE"}

// afterCommand tells the client what happened until the end of a command.
func (s *session) afterCommand(ctx context.Context, cmd *command) {
	if s.box != nil && s.notify != nil && s.notify.selected.events == 0 && slices.Contains(expunging, cmd.name) {
		s.syncOrEnd(ctx, false)
	}
	s.tellChanges(ctx, cmd.usesNumbers || s.holds)
	if s.box != nil && !s.ended {
		s.correctModSeq()
	}
}

// awaitCommand waits for the client's next command. A client that used NOTIFY
// hears of events meanwhile.
func (s *session) awaitCommand(ctx context.Context) error {
	deadline := s.idleDeadline()
	if s.notify == nil {
		return s.await(deadline)
	}
	for {
		watch := true
		if s.dec.Buffered() == 0 {
			watch = s.tellChanges(ctx, s.notify.selected.filter == filterDelayed)
		}
		if s.ended {
			return nil
		}
		err := s.awaitChange(s.nextLook(deadline), watch)
		switch {
		case err == gate.ErrWoken && !s.draining():
		case err == gate.ErrDeadline && time.Now().Before(deadline):
		default:
			return err
		}
	}
}

// nextLook is when to look at names of mailboxes and annotations again, if that
// is before the deadline: other programs change them too.
func (s *session) nextLook(deadline time.Time) time.Time {
	if s.notify != nil && s.notify.wanted&polled != 0 && s.notify.nextLook.Before(deadline) {
		return s.notify.nextLook
	}
	return deadline
}

// awaitChange is await that, with watch, a change that the client wants to hear
// of ends too, with gate.ErrWoken. Without watch (the store failed just now) the
// next look is at the deadline.
func (s *session) awaitChange(deadline time.Time, watch bool) error {
	if watch {
		for _, stop := range s.watchChanges() {
			defer stop()
		}
	}
	return s.awaitBy(deadline, s.dec.WaitBare)
}

// watchChanges lets everything that the client wants to hear of wake the session,
// until all that it returns was called. No goroutine waits for it: thousands of
// idle sessions are the normal state.
func (s *session) watchChanges() (stops []func()) {
	wake := s.gate.Wake
	if s.box != nil && (s.notify == nil || s.notify.selected.events != 0) {
		stops = append(stops, s.box.mailbox.Watch(s.box.base, wake))
	}
	if s.notify != nil {
		for name, w := range s.notify.boxes {
			if w.mailbox != nil && !s.notify.isSelected(name) {
				stops = append(stops, w.mailbox.Watch(w.view, wake))
			}
		}
	}
	if s.heard != nil {
		stops = append(stops, s.heard.watch(wake))
	}
	return stops
}

// printNew tells what the client asked for of new messages of the selected
// mailbox, those apart that it stored itself (RFC 5465 section 5.2).
func (s *session) printNew(ctx context.Context, old *storage.View) {
	if s.notify == nil || s.notify.selected.fetch == nil {
		return
	}
	known := s.box.known
	first, _ := known.Index(old.UIDNext)
	for i := first; i < len(known.Messages); i++ {
		s.printAttributes(ctx, s.notify.selected.fetch, i)
	}
}

// printAttributes tells of the message at index i, unless this client stored it.
func (s *session) printAttributes(ctx context.Context, f *fetch, i int) {
	m := &fetched{number: i + 1, view: s.box.known, msg: s.box.known.Messages[i]}
	if _, own := s.box.own[m.msg.UID]; own {
		return
	}
	known := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", known.Close()) }()
	if err := f.message(ctx, s, known, m, false); err != nil && !errors.Is(err, storage.ErrExpunged) {
		s.warn(fmt.Sprintf("tell of message %d", m.msg.UID), err)
	}
}

// stored notes messages that this client put into a mailbox.
func (s *session) stored(mailbox string, uids ...storage.UID) {
	if s.box == nil || s.notify == nil || s.box.mailbox.Name() != mailbox {
		return
	}
	if s.box.own == nil {
		s.box.own = map[storage.UID]struct{}{}
	}
	for _, uid := range uids {
		s.box.own[uid] = struct{}{}
	}
}
