package imap

import (
	"context"
	"errors"
	"slices"

	"gomaild/storage"
)

// maxContexts is how many searches of one session are kept up to date.
const maxContexts = 5

// liveSearch is a search whose result is kept up to date: RETURN (UPDATE) of
// CONTEXT=SEARCH, RFC 5267 section 4.3. It lives as long as its mailbox is
// selected.
type liveSearch struct {
	tag     string
	search  search
	members []storage.UID  // what the client was told, ascending
	until   storage.ModSeq // changes up to here are told
}

// follow keeps the search up to date from now on, if that is possible: not
// beyond maxContexts, and not where the keys name message numbers or "$",
// which mean other messages later.
func (r *search) follow(s *session, hits []int) {
	s.box.cancel(s.tag)
	fixed := slices.ContainsFunc(r.sets, func(k *setKey) bool { return !k.byUID || k.set[0].Saved })
	if fixed || len(s.box.live) >= maxContexts {
		s.enc.Raw(`* NO [NOUPDATE `)
		s.enc.String(s.tag)
		s.enc.Raw("] Search is not kept up to date\r\n")
		return
	}
	live := &liveSearch{tag: s.tag, search: *r, until: s.box.known.HighestModSeq}
	for _, i := range hits {
		live.members = append(live.members, s.box.known.Messages[i].UID)
	}
	s.box.live = append(s.box.live, live)
}

// cancel ends the search of a tag.
func (b *selected) cancel(tag string) {
	b.live = slices.DeleteFunc(b.live, func(l *liveSearch) bool { return l.tag == tag })
}

// printLeaving tells of messages that are about to be expunged, while their
// numbers still mean something.
func (s *session) printLeaving(changes []storage.Change) {
	for _, l := range s.box.live {
		var gone []int
		for _, c := range changes {
			if c.Kind != storage.Expunged {
				break
			}
			if at, member := slices.BinarySearch(l.members, c.UID); member {
				l.members = slices.Delete(l.members, at, at+1)
				i, _ := s.box.known.Index(c.UID)
				gone = append(gone, i)
			}
		}
		slices.Sort(gone)
		l.print(s, "REMOVEFROM", gone)
	}
}

// printLive tells which messages came into a live search or left it, of those
// that are new or have changed.
func (s *session) printLive(ctx context.Context) {
	for _, l := range s.box.live {
		if err := l.update(ctx, s); err != nil {
			s.warn("keep search up to date", err)
		}
	}
}

func (l *liveSearch) update(ctx context.Context, s *session) error {
	known := s.box.known
	var added, removed []int
	for _, k := range l.search.sets {
		if err := k.bind(s.box); err != nil {
			return err
		}
	}
	kept := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", kept.Close()) }()
	for i, m := range known.Messages {
		if m.ModSeq <= l.until {
			continue
		}
		matches, err := l.search.matches(ctx, s, kept, i)
		if err != nil && !errors.Is(err, storage.ErrExpunged) {
			return err // it is looked at again with the next change
		}
		switch at, member := slices.BinarySearch(l.members, m.UID); {
		case matches && !member:
			l.members = slices.Insert(l.members, at, m.UID)
			added = append(added, i)
		case !matches && member:
			l.members = slices.Delete(l.members, at, at+1)
			removed = append(removed, i)
		}
	}
	l.until = known.HighestModSeq
	l.print(s, "REMOVEFROM", removed)
	l.print(s, "ADDTO", added)
	return nil
}

// print tells a change. Position 0 is "in mailbox order", RFC 5267 section
// 4.3.2.
func (l *liveSearch) print(s *session, what string, hits []int) {
	if len(hits) == 0 {
		return
	}
	s.enc.Raw("* ESEARCH (TAG ")
	s.enc.String(l.tag)
	s.enc.Byte(')')
	if l.search.byUID {
		s.enc.Raw(" UID")
	}
	s.enc.Raw(" " + what + " (0 ")
	l.search.printSet(s, hits)
	s.enc.Raw(")\r\n")
}

// cancelUpdate is CANCELUPDATE, RFC 5267 section 4.4.
type cancelUpdate struct{ tags []string }

func parseCancelUpdate(g *grammar) request {
	var r cancelUpdate
	g.SP()
	r.tags = append(r.tags, g.String())
	for g.Accept(' ') && !g.AtEnd() {
		r.tags = append(r.tags, g.String())
	}
	g.End()
	return r
}

func (r cancelUpdate) run(_ context.Context, s *session) (reply, error) {
	for _, tag := range r.tags {
		s.box.cancel(tag)
	}
	return reply{}, nil
}
