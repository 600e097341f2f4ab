package imap

import (
	"context"
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
		r.known = g.NumSet()
		if g.Peek() == ' ' {
			g.SP()
			skipSequenceMatch(g)
		}
	} else if g.Peek() == '(' {
		skipSequenceMatch(g)
	}
	g.Expect(')')
	return &r
}

// skipSequenceMatch reads the pairs of numbers and UIDs of section 3.2.5.2.
// They help servers that remember no expunged UIDs.
func skipSequenceMatch(g *grammar) {
	g.Expect('(')
	g.NumSet()
	g.SP()
	g.NumSet()
	g.Expect(')')
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
	if err := s.printVanishedSince(ctx, r.since, r.known); err != nil {
		return err
	}
	for i := range changedSince(v, where, r.since).all() {
		s.printFlagUpdate(i+1, v, v.Messages[i], true)
	}
	return nil
}

// printVanishedSince tells which of the UIDs of a set, nil for all, are gone
// since a MODSEQ (RFC 7162 section 3.2.6).
func (s *session) printVanishedSince(ctx context.Context, since storage.ModSeq, within wire.NumSet) error {
	v := s.box.known
	gone, err := s.box.mailbox.Vanished(ctx, v, since)
	if err != nil {
		return err
	}
	if within != nil {
		gone = overlap(gone, s.box.uidRanges(v, within))
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
