package imap

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gomaild/storage"
)

// maxContexts is how many searches of one session are kept up to date.
const maxContexts = 5

// liveSearch is a search whose result is kept up to date: RETURN (UPDATE) of
// CONTEXT=SEARCH and CONTEXT=SORT, RFC 5267 section 4.3. It lives as long as its
// mailbox is selected.
type liveSearch struct {
	tag     string
	search  search
	sort    *sortMessages  // nil for SEARCH
	members []storage.UID  // what the client was told, ascending
	sorted  []storage.UID  // for SORT the same in the order of the result
	until   storage.ModSeq // changes up to here are told
	next    storage.UID    // messages from here on are new
}

// checkTag refuses UPDATE with the tag of a search that is kept up to date: what
// is told later names the search by it (RFC 5267 section 4.3).
func (r *search) checkTag(s *session) error {
	if r.returns&returnUpdate != 0 && slices.ContainsFunc(s.box.live, func(l *liveSearch) bool { return l.tag == s.tag }) {
		return bad("Tag is that of a search that is kept up to date")
	}
	return nil
}

// follow keeps the search up to date from now on, but not beyond maxContexts.
// Message numbers and "$" in the keys go on to mean the messages that they mean
// now (RFC 5267 section 4.3).
func (r *search) follow(s *session, hits []int, sort *sortMessages) {
	for _, k := range r.sets {
		k.fix(s.box.known)
	}
	if len(s.box.live) >= maxContexts {
		s.enc.Raw(`* NO [NOUPDATE `)
		s.enc.String(s.tag)
		s.enc.Raw("] Search is not kept up to date\r\n")
		return
	}
	live := &liveSearch{tag: s.tag, search: *r, sort: sort, until: s.box.known.HighestModSeq, next: s.box.known.UIDNext}
	for _, i := range hits {
		live.members = append(live.members, s.box.known.Messages[i].UID)
	}
	if sort != nil {
		live.sorted = slices.Clone(live.members)
		slices.Sort(live.members)
	}
	s.box.live = append(s.box.live, live)
}

// cancel ends the search of a tag.
func (b *selected) cancel(tag string) {
	b.live = slices.DeleteFunc(b.live, func(l *liveSearch) bool { return l.tag == tag })
}

// printLeaving tells of messages that are about to be expunged, while their
// numbers still mean something (RFC 5267 section 4.3.4).
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
		l.print(s, "REMOVEFROM", l.takeOut(s.box.known, gone))
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
	c := &candidate{box: s.box, known: kept}
	for i, m := range known.Messages {
		if m.ModSeq <= l.until {
			continue
		}
		matches, err := l.search.matches(ctx, s, c, i)
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
	l.print(s, "REMOVEFROM", l.takeOut(known, removed))
	l.printNew(ctx, s, added)
	placed, err := l.putIn(ctx, s, kept, added)
	l.print(s, "ADDTO", placed)
	return err
}

// printNew tells the attributes that were asked for of those that are new (RFC
// 5465 section 7), before the ESEARCH that names them.
func (l *liveSearch) printNew(ctx context.Context, s *session, added []int) {
	for _, i := range added {
		if l.search.fetch != nil && s.box.known.Messages[i].UID >= l.next {
			s.printAttributes(ctx, l.search.fetch, i)
		}
	}
	l.next = s.box.known.UIDNext
}

// move is a message at its place in the result, from 1; 0 is "in mailbox order"
// (RFC 5267 section 4.3.2), which is only for SEARCH.
type move struct{ position, index int }

// takeOut takes messages out of the order, the last ones first so that the
// positions are right when they are read one after the other.
func (l *liveSearch) takeOut(v *storage.View, gone []int) []move {
	moves := make([]move, 0, len(gone))
	for _, i := range gone {
		at := -1
		if l.sort != nil {
			at = slices.Index(l.sorted, v.Messages[i].UID)
		}
		moves = append(moves, move{at + 1, i})
	}
	if l.sort == nil {
		return moves
	}
	slices.SortFunc(moves, func(a, b move) int { return b.position - a.position })
	for _, m := range moves {
		l.sorted = slices.Delete(l.sorted, m.position-1, m.position)
	}
	return moves
}

// putIn puts messages in their places of the order, the first ones first. What
// they are compared with is read for the few that are met on the way.
func (l *liveSearch) putIn(ctx context.Context, s *session, known storage.Reader, added []int) ([]move, error) {
	moves := make([]move, 0, len(added))
	if l.sort == nil {
		for _, i := range added {
			moves = append(moves, move{0, i})
		}
		return moves, nil
	}
	v := s.box.known
	for _, i := range added {
		row, err := l.sort.row(ctx, s, known, i)
		if err != nil {
			return moves, err
		}
		var fault error
		at, _ := slices.BinarySearchFunc(l.sorted, row, func(uid storage.UID, row sortRow) int {
			j, _ := v.Index(uid)
			other, err := l.sort.row(ctx, s, known, j)
			fault = errors.Join(fault, err)
			return cmp.Or(l.sort.compare(other, row), cmp.Compare(j, i))
		})
		if fault != nil {
			return moves, fault
		}
		l.sorted = slices.Insert(l.sorted, at, v.Messages[i].UID)
		moves = append(moves, move{at + 1, i})
	}
	return moves, nil
}

// row reads what a message is compared by.
func (r *sortMessages) row(ctx context.Context, s *session, known storage.Reader, i int) (sortRow, error) {
	h := new(header)
	err := s.readHeader(ctx, known, s.box.known.Messages[i].UID, r.wanted, h)
	if err != nil && !errors.Is(err, storage.ErrExpunged) {
		return sortRow{}, err
	}
	row := sortRow{index: i}
	for _, c := range r.criteria {
		row.values = append(row.values, c.key.of(h))
	}
	return row, nil
}

// print tells a change: pairs of a position and the messages from there on.
func (l *liveSearch) print(s *session, what string, moves []move) {
	if len(moves) == 0 {
		return
	}
	s.enc.Raw("* ESEARCH (TAG ")
	s.enc.String(l.tag)
	s.enc.Byte(')')
	if l.search.byUID {
		s.enc.Raw(" UID")
	}
	s.enc.Raw(" " + what)
	before := " ("
	for len(moves) > 0 {
		n := 1
		for moves[0].position == 0 && n < len(moves) {
			n++
		}
		hits := make([]int, 0, n)
		for _, m := range moves[:n] {
			hits = append(hits, m.index)
		}
		s.enc.Raw(before)
		before = " "
		s.enc.Number(uint64(moves[0].position))
		s.enc.Byte(' ')
		l.search.printSet(s, hits)
		moves = moves[n:]
	}
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
