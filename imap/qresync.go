package imap

import (
	"context"
	"math"
	"strconv"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// resync is the parameter QRESYNC of SELECT and EXAMINE, RFC 7162 section
// 3.2.5: what the client knew when it was here last.
type resync struct {
	uidValidity uint32
	since       storage.ModSeq
	known       wire.NumSet // nil: all
	// numbers and uids are a sample of what the client knows: the n-th of the one
	// is the number of the n-th of the other (section 3.2.5.2).
	numbers, uids wire.NumSet
}

// parseParams reads the parameters after the name of the mailbox.
func (r *selectMailbox) parseParams(g *grammar) {
	g.List(func() {
		switch g.Word() {
		case "CONDSTORE":
			r.condstore = true
		case "QRESYNC":
			r.condstore = true
			g.SP()
			r.resync = parseResync(g)
		default:
			g.Fail("unknown SELECT parameter")
		}
	})
}

func parseResync(g *grammar) *resync {
	var r resync
	g.Expect('(')
	r.uidValidity = g.Number32()
	g.SP()
	r.since = modSeq(g)
	if g.Accept(' ') && g.Peek() != '(' {
		r.known = parseKnown(g)
		if g.Peek() == ' ' {
			g.SP()
			r.parseSequenceMatch(g)
		}
	} else if g.Peek() == '(' {
		r.parseSequenceMatch(g)
	}
	g.Expect(')')
	return &r
}

func (r *resync) parseSequenceMatch(g *grammar) {
	g.Expect('(')
	r.numbers = parseKnown(g)
	g.SP()
	r.uids = parseKnown(g)
	g.Expect(')')
}

// parseKnown reads a set of what a client knows: neither "*" nor "$" is in it.
func parseKnown(g *grammar) wire.NumSet {
	set := g.NumSet()
	for _, r := range set {
		if r.Saved || r.First == wire.Star || r.Last == wire.Star {
			g.Fail("numbers expected")
		}
	}
	return set
}

// knownUpTo is the last UID of the sample that has the number in v that it has for
// the client, 0 without one: no message up to there has gone that the client
// does not know of.
func (r *resync) knownUpTo(v *storage.View) storage.UID {
	var last storage.UID
	numbers, uids := eachOf(r.numbers), eachOf(r.uids)
	for {
		number, uid := numbers(), uids()
		if number == 0 || uid == 0 || int64(number) > int64(len(v.Messages)) {
			return last
		}
		if v.Messages[number-1].UID == storage.UID(uid) {
			last = storage.UID(uid)
		}
	}
}

// eachOf returns one number of a set after the other, and then 0. A set of which
// nobody asks for more than there are messages may have any length.
func eachOf(set wire.NumSet) func() uint32 {
	done := uint32(0) // of the first range
	return func() uint32 {
		if len(set) == 0 {
			return 0
		}
		lo, hi := set[0].Bounds(0)
		n := lo + done
		if done++; n == hi {
			set, done = set[1:], 0
		}
		return n
	}
}

// print tells what changed in v, which was just selected.
func (r *resync) print(ctx context.Context, s *session) error {
	v := s.box.known
	if r.uidValidity != v.UIDValidity {
		return nil // the client knows nothing of this mailbox
	}
	where := positions{{0, len(v.Messages)}}
	if r.known != nil {
		var err error
		if where, err = s.box.resolve(v, r.known, true); err != nil {
			return err
		}
	}
	if err := s.printVanishedSince(ctx, r.since, r.known, r.knownUpTo(v)); err != nil {
		return err
	}
	for i := range changedSince(v, where, r.since).all() {
		s.printFlagUpdate(i+1, v, v.Messages[i], true)
	}
	return nil
}

// printVanishedSince tells which of the UIDs of a set, nil for all, above knownUpTo
// are gone since a MODSEQ (RFC 7162 section 3.2.6).
func (s *session) printVanishedSince(ctx context.Context, since storage.ModSeq, within wire.NumSet, knownUpTo storage.UID) error {
	v := s.box.known
	gone, err := s.box.mailbox.Vanished(ctx, v, since)
	if err != nil {
		return err
	}
	if within != nil {
		gone = overlap(gone, s.box.uidRanges(v, within))
	}
	if knownUpTo > 0 {
		gone = overlap(gone, []storage.UIDRange{{First: knownUpTo + 1, Last: math.MaxUint32}})
	}
	if len(gone) == 0 {
		return nil
	}
	s.enc.Raw("* VANISHED (EARLIER) ")
	s.enc.Append(func(dst []byte) []byte { return appendRanges(dst, gone) })
	s.enc.CRLF()
	return nil
}

// uidRanges are the UIDs of a set, in use or not; "*" is the last UID that
// was given out.
func (b *selected) uidRanges(v *storage.View, set wire.NumSet) []storage.UIDRange {
	if len(set) == 1 && set[0].Saved {
		set = nil
		for _, uid := range b.saved {
			set = append(set, wire.Range{First: uint32(uid), Last: uint32(uid)})
		}
	}
	spans := make(positions, 0, len(set))
	for _, r := range set {
		lo, hi := r.Bounds(uint32(v.UIDNext) - 1)
		spans = append(spans, [2]int{int(lo), int(hi) + 1})
	}
	var ranges []storage.UIDRange
	for _, span := range merge(spans) {
		ranges = append(ranges, storage.UIDRange{First: storage.UID(span[0]), Last: storage.UID(span[1] - 1)})
	}
	return ranges
}

// overlap is what is in both lists, which are ascending.
func overlap(a, b []storage.UIDRange) []storage.UIDRange {
	var both []storage.UIDRange
	for i, j := 0, 0; i < len(a) && j < len(b); {
		lo, hi := max(a[i].First, b[j].First), min(a[i].Last, b[j].Last)
		if lo <= hi {
			both = append(both, storage.UIDRange{First: lo, Last: hi})
		}
		if a[i].Last < b[j].Last {
			i++
		} else {
			j++
		}
	}
	return both
}

// appendRanges prints ranges as a set.
func appendRanges(dst []byte, ranges []storage.UIDRange) []byte {
	for i, r := range ranges {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(r.First), 10)
		if r.Last > r.First {
			dst = strconv.AppendUint(append(dst, ':'), uint64(r.Last), 10)
		}
	}
	return dst
}
