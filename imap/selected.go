package imap

import (
	"context"
	"errors"
	"slices"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// selected is the mailbox that a session has selected.
type selected struct {
	mailbox  storage.Mailbox
	readOnly bool
	examined bool           // readOnly for good, by EXAMINE
	rights   storage.Rights // the login's, when they were last asked for
	// known is what the client was told; message numbers are positions in it.
	known *storage.View
	// base is the store's View that known was made from. They differ while
	// messages that are gone are held for the client.
	base *storage.View
	// fresh is the mailbox as the present command has seen it after all that it
	// did, nil if it did not look: the end of the command need not look again.
	fresh  *storage.View
	recent map[storage.UID]struct{} // messages that are \Recent in this session
	live   []*liveSearch            // of CONTEXT=SEARCH
	saved  []storage.UID            // "$" of RFC 5182, ascending
	own    map[storage.UID]struct{} // stored by this client, while it uses NOTIFY
	// toldModSeq is the highest MODSEQ that was told since the last tagged
	// response.
	toldModSeq storage.ModSeq
	// corrected: it was too high, and the client was told so.
	corrected bool
}

// deselect leaves the selected mailbox.
func (s *session) deselect() {
	s.warn("close mailbox", s.box.mailbox.Close())
	s.box = nil
	s.state = authenticated
}

// errRenumbered: the mailbox has another UIDVALIDITY than the one selected.
// There is no response that tells a client so in mid-session.
var errRenumbered = errors.New("UIDVALIDITY has changed")

// syncOrEnd tells the client what changed. A mailbox that is no more ends the
// session. Another fault of the store is logged, and the next command looks
// again: it changes nothing about the command that is done.
func (s *session) syncOrEnd(ctx context.Context, hold bool) (ok bool) {
	err := s.sync(ctx, hold)
	switch {
	case errors.Is(err, storage.ErrNoMailbox):
		s.bye("Selected mailbox is gone")
	case errors.Is(err, storage.ErrPermission):
		s.bye("Selected mailbox may not be read any more")
	case errors.Is(err, errRenumbered):
		s.bye("Messages of the selected mailbox have new UIDs")
	case err != nil:
		s.log.Error("look at mailbox", "mailbox", s.box.mailbox.Name(), "error", err)
	}
	return err == nil
}

// sync takes the mailbox's present View and prints what the client must hear.
// With hold, messages that are gone stay in the held View.
func (s *session) sync(ctx context.Context, hold bool) error {
	box := s.box
	now, err := box.look(ctx)
	if err != nil {
		return err
	}
	if now == box.base && (hold || box.known == now) {
		return nil
	}
	if now.UIDValidity != box.known.UIDValidity {
		return errRenumbered
	}
	next := now
	if hold {
		next = withHeld(box.known, now)
	}
	s.printKeywords(box.known, next)
	changes := storage.Diff(box.known, next)
	s.printLeaving(changes)
	if s.enabled&qresync != 0 {
		changes = s.printVanished(changes)
	}
	for _, c := range changes {
		s.printChange(ctx, c, now, next)
	}
	old := box.known
	box.known, box.base = next, now
	s.printLive(ctx)
	s.printNew(ctx, old)
	return nil
}

// look is the mailbox as it is now, or was a moment ago.
func (b *selected) look(ctx context.Context) (*storage.View, error) {
	if fresh := b.fresh; fresh != nil {
		b.fresh = nil
		return fresh, nil
	}
	return b.mailbox.View(ctx)
}

// printVanished tells the expunges, which come first in changes, as one
// VANISHED (RFC 7162 section 3.2.10) and returns the other changes.
func (s *session) printVanished(changes []storage.Change) []storage.Change {
	var gone []storage.UID
	for len(changes) > 0 && changes[0].Kind == storage.Expunged {
		gone = append(gone, changes[0].UID)
		delete(s.box.recent, changes[0].UID)
		changes = changes[1:]
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		s.enc.Raw("* VANISHED ")
		s.enc.Append(func(dst []byte) []byte { return wire.AppendSet(dst, gone) })
		s.enc.CRLF()
	}
	return changes
}

func (s *session) printChange(ctx context.Context, c storage.Change, now, next *storage.View) {
	switch c.Kind {
	case storage.Expunged:
		delete(s.box.recent, c.UID)
		s.printNumber(c.Number, "EXPUNGE")
	case storage.Arrived:
		s.claimRecent(ctx, now)
		s.printNumber(c.Number, "EXISTS")
		s.printRecent()
	case storage.Flags:
		if s.notify == nil || s.notify.selected.events&flagChange != 0 {
			s.printFlagUpdate(c.Number, next, c.Message, s.notify != nil) // RFC 5465 section 5.1: with UID
		}
	}
}

// printNumber prints `* n NAME`.
func (s *session) printNumber(n int, name string) {
	s.enc.Raw("* ")
	s.enc.Number(uint64(n))
	s.enc.Byte(' ')
	s.enc.Raw(name)
	s.enc.CRLF()
}

// printFlagUpdate prints a FETCH response with a message's flags, and what a
// client that enabled CONDSTORE or QRESYNC hears with them.
func (s *session) printFlagUpdate(number int, v *storage.View, m storage.Message, withUID bool) {
	s.enc.Raw("* ")
	s.enc.Number(uint64(number))
	s.enc.Raw(" FETCH (")
	if withUID || s.tellsUID() {
		s.enc.Raw("UID ")
		s.enc.Number(uint64(m.UID))
		s.enc.Byte(' ')
	}
	s.printFlags(v, m)
	if s.enabled&condstore != 0 {
		s.enc.Byte(' ')
		s.printModSeq(m)
	}
	s.enc.Byte(')')
	s.enc.CRLF()
}

// claimRecent makes new messages \Recent in this session, unless it may not
// change the mailbox. That it fails costs nothing but the mark.
func (s *session) claimRecent(ctx context.Context, v *storage.View) {
	if s.box.readOnly || s.enabled&imap4rev2 != 0 {
		return
	}
	uids, err := s.box.mailbox.ClaimRecent(ctx, v)
	s.warn("claim recent messages", err)
	for _, uid := range uids {
		s.box.recent[uid] = struct{}{}
	}
}

// withHeld is now with the messages of known that are gone still in it, so
// that numbers of known keep their meaning.
func withHeld(known, now *storage.View) *storage.View {
	merged := make([]storage.Message, 0, max(len(known.Messages), len(now.Messages)))
	j, held := 0, false
	for _, m := range known.Messages {
		if j < len(now.Messages) && now.Messages[j].UID == m.UID {
			merged = append(merged, now.Messages[j])
			j++
			continue
		}
		m.Keywords = translateKeywords(m.Keywords, known, now)
		merged = append(merged, m)
		held = true
	}
	if !held {
		return now
	}
	v := *now
	v.Messages = append(merged, now.Messages[j:]...)
	v.HighestModSeq = known.HighestModSeq // whoever resynchronises from it must hear of what is held
	return &v
}

// translateKeywords is a set of one view's keywords in the bits of another;
// names that are no more are left out.
func translateKeywords(set storage.KeywordSet, from, to *storage.View) storage.KeywordSet {
	if set == "" || slices.Equal(from.Keywords, to.Keywords) {
		return set
	}
	return keywordBits(to, from.KeywordNames(set))
}

// absorb replaces messages in the known View by what they are in now, as the
// client has been told of it or knows it by itself: Diff will not repeat it.
func (b *selected) absorb(now *storage.View, changed []storage.Message) {
	if len(changed) == 0 || !slices.Equal(b.known.Keywords, now.Keywords) {
		return // with other keywords every flag is told again
	}
	v := *b.known
	v.Messages = slices.Clone(b.known.Messages)
	for _, m := range changed {
		if i, found := v.Index(m.UID); found {
			v.Messages[i] = m
		}
	}
	b.known = &v
}

// adoptKeywords moves the known View to the keywords of now, of which the
// client has just been told.
func (b *selected) adoptKeywords(now *storage.View) {
	if slices.Equal(b.known.Keywords, now.Keywords) {
		return
	}
	v := *b.known
	v.Messages = slices.Clone(b.known.Messages)
	for i := range v.Messages {
		v.Messages[i].Keywords = translateKeywords(v.Messages[i].Keywords, b.known, now)
	}
	v.Keywords, v.MoreKeywords = now.Keywords, now.MoreKeywords
	b.known = &v
}
