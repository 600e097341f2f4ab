package imap

import (
	"slices"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// results is how a search tells what it found: the SEARCH response, or the
// ESEARCH response of RFC 4731 with the options of RETURN.
type results struct {
	byUID    bool
	extended bool // RETURN was given
	returns  searchReturn
	partial  *partialRange
	fetch    *fetch // what is told of new messages of a search that is kept up to date, RFC 5465 section 7
	modSeq   bool   // tell the highest MODSEQ of what was found, RFC 7162 section 3.1.6
}

// searchReturn is a set of result options.
type searchReturn uint8

const (
	returnMin searchReturn = 1 << iota
	returnMax
	returnCount
	returnAll
	returnSave    // RFC 5182
	returnPartial // RFC 9394
	returnUpdate  // RFC 5267
	returnContext // RFC 5267: a hint, which says nothing that is needed here

	returnsNothing = returnUpdate | returnContext // of these, nothing is told
)

var searchReturns = map[string]searchReturn{
	"MIN": returnMin, "MAX": returnMax, "COUNT": returnCount, "ALL": returnAll, "SAVE": returnSave, "PARTIAL": returnPartial,
	"UPDATE": returnUpdate, "CONTEXT": returnContext,
}

// parse reads the options after RETURN.
func (r *results) parse(g *grammar) {
	r.extended = true
	g.List(func() {
		option := searchReturns[g.Word()]
		if option == 0 {
			g.Fail("unknown SEARCH return option")
		}
		r.parseOption(g, option)
	})
	if r.returns == 0 { // RFC 4731 section 3.1
		r.returns = returnAll
	}
}

// print tells the messages at the indexes hits of the known View, in the order
// of the result, and saves them where that was asked.
func (r *results) print(s *session, verb string, hits []int) {
	if r.returns&returnSave != 0 {
		s.box.saved = r.toSave(s.box.known, hits)
	}
	switch {
	case !r.extended:
		r.printPlain(s, verb, hits)
	case r.returns&^returnsNothing != returnSave: // RFC 5182 section 2.1: SAVE alone has no response
		r.printExtended(s, hits)
	}
}

// toSave are the UIDs of what the result is about, ascending.
func (r *results) toSave(v *storage.View, hits []int) []storage.UID {
	hits = r.told(hits)
	uids := make([]storage.UID, 0, len(hits))
	for _, i := range hits {
		uids = append(uids, v.Messages[i].UID)
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// told are the hits that the result is about: with MIN or MAX and nothing that
// looks at every message, only these (RFC 5182 section 2.1, RFC 7162 section
// 3.1.10), or those in the window of PARTIAL (RFC 9394 section 3.2).
func (r *results) told(hits []int) []int {
	switch {
	case r.returns&(returnAll|returnCount) != 0:
		return hits
	case r.partial != nil:
		return r.toldInPart(hits)
	case r.returns&(returnMin|returnMax) != 0:
		return r.ends(hits)
	}
	return hits
}

func highestOf(v *storage.View, hits []int) storage.ModSeq {
	var highest storage.ModSeq
	for _, i := range hits {
		highest = max(highest, v.Messages[i].ModSeq)
	}
	return highest
}

// ends are the first and the last hit, as far as they were asked for.
func (r *results) ends(hits []int) []int {
	var ends []int
	if len(hits) > 0 && r.returns&returnMin != 0 {
		ends = append(ends, hits[0])
	}
	if len(hits) > 0 && r.returns&returnMax != 0 {
		ends = append(ends, hits[len(hits)-1])
	}
	return ends
}

// number is what the client knows the message at index i by.
func (r *results) number(v *storage.View, i int) uint32 {
	if r.byUID {
		return uint32(v.Messages[i].UID)
	}
	return uint32(i + 1)
}

func (r *results) printPlain(s *session, verb string, hits []int) {
	s.enc.Raw("* " + verb)
	for _, i := range hits {
		s.enc.Byte(' ')
		s.enc.Number(uint64(r.number(s.box.known, i)))
	}
	if r.modSeq && len(hits) > 0 {
		s.enc.Raw(" (MODSEQ ")
		s.enc.Number(uint64(highestOf(s.box.known, hits)))
		s.enc.Byte(')')
	}
	s.enc.CRLF()
}

// printExtended: RFC 4731 section 3.1. Without a match only COUNT is told.
func (r *results) printExtended(s *session, hits []int) {
	s.enc.Raw("* ESEARCH (TAG ")
	s.enc.String(s.tag)
	s.enc.Byte(')')
	if r.byUID {
		s.enc.Raw(" UID")
	}
	if r.returns&returnMin != 0 && len(hits) > 0 {
		s.enc.Raw(" MIN ")
		s.enc.Number(uint64(r.number(s.box.known, hits[0])))
	}
	if r.returns&returnMax != 0 && len(hits) > 0 {
		s.enc.Raw(" MAX ")
		s.enc.Number(uint64(r.number(s.box.known, hits[len(hits)-1])))
	}
	if r.returns&returnCount != 0 {
		s.enc.Raw(" COUNT ")
		s.enc.Number(uint64(len(hits)))
	}
	if r.returns&returnAll != 0 && len(hits) > 0 {
		s.enc.Raw(" ALL ")
		r.printSet(s, hits)
	}
	if r.partial != nil {
		r.printPartial(s, hits)
	}
	if told := r.told(hits); r.modSeq && len(told) > 0 {
		s.enc.Raw(" MODSEQ ")
		s.enc.Number(uint64(highestOf(s.box.known, told)))
	}
	s.enc.CRLF()
}

// printSet prints numbers as a set in the order of the result.
func (r *results) printSet(s *session, hits []int) {
	numbers := make([]uint32, len(hits))
	for n, i := range hits {
		numbers[n] = r.number(s.box.known, i)
	}
	s.enc.Append(func(dst []byte) []byte { return wire.AppendSet(dst, numbers) })
}
