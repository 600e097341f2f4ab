package imap

import (
	"context"
	"slices"

	"gomaild/auth"
	"gomaild/storage"
)

// Cause is what made an Event, as scripts see it (RFC 6785 section 4.3).
type Cause string

// The causes.
const (
	CauseAppend Cause = "APPEND" // and REPLACE
	CauseCopy   Cause = "COPY"   // and MOVE
	CauseFlag   Cause = "FLAG"
)

// Event is what a command did to messages, for scripts: RFC 6785 section 2.2.
type Event struct {
	Identity auth.Identity
	Account  storage.Account // of the session
	Cause    Cause
	Mailbox  storage.Mailbox // where the messages are
	From     string          // CauseCopy: the mailbox where they were
	Messages []Changed
}

// Changed is one message of an Event.
type Changed struct {
	UID   storage.UID
	Flags []string // CauseFlag: those that were set or taken away
}

// event tells of messages that came into a mailbox, before the command is
// answered: the client sees what scripts make of them.
func (s *session) event(ctx context.Context, cause Cause, mailbox storage.Mailbox, from string, uids []storage.UID) {
	if s.srv.cfg.Event == nil {
		return
	}
	e := Event{Identity: s.identity, Account: s.account, Cause: cause, Mailbox: mailbox, From: from}
	for _, uid := range uids {
		e.Messages = append(e.Messages, Changed{UID: uid})
	}
	s.srv.cfg.Event(ctx, e)
}

// flagEvent tells of the messages among uids whose flags differ between two
// Views of the selected mailbox.
func (s *session) flagEvent(ctx context.Context, before, now *storage.View, uids []storage.UID) {
	if s.srv.cfg.Event == nil || before == nil {
		return
	}
	e := Event{Identity: s.identity, Account: s.account, Cause: CauseFlag, Mailbox: s.box.mailbox}
	for _, uid := range uids {
		if flags := changedFlags(before, now, uid); len(flags) > 0 {
			e.Messages = append(e.Messages, Changed{uid, flags})
		}
	}
	if len(e.Messages) > 0 {
		s.srv.cfg.Event(ctx, e)
	}
}

// viewForEvents is the selected mailbox before its flags change, nil where
// nobody asks.
func (s *session) viewForEvents(ctx context.Context) (*storage.View, error) {
	if s.srv.cfg.Event == nil {
		return nil, nil
	}
	return s.box.mailbox.View(ctx)
}

// changedFlags are the names of the flags that one of two Views has and the
// other has not.
func changedFlags(before, now *storage.View, uid storage.UID) []string {
	i, was := before.Index(uid)
	k, is := now.Index(uid)
	if !was || !is {
		return nil
	}
	old, m := before.Messages[i], now.Messages[k]
	var names []string
	for _, f := range systemFlags {
		if (old.Flags^m.Flags)&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	oldWords, words := before.KeywordNames(old.Keywords), now.KeywordNames(m.Keywords)
	for _, list := range [][2][]string{{oldWords, words}, {words, oldWords}} {
		for _, w := range list[0] {
			if !slices.Contains(list[1], w) {
				names = append(names, w)
			}
		}
	}
	return names
}
