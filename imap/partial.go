package imap

import (
	"slices"
	"strconv"
)

// partialRange is the window of PARTIAL, RFC 9394 section 4: results n:m from
// the first, or -n:-m from the last.
type partialRange struct {
	first, last int64 // first <= last, both from 1
	fromEnd     bool
	text        string // as the response repeats it
}

// parsePartial reads a partial-range.
func parsePartial(g *grammar) *partialRange {
	var r partialRange
	r.fromEnd = g.Accept('-')
	r.first = int64(g.Number32())
	g.Expect(':')
	if r.fromEnd {
		g.Expect('-')
	}
	r.last = int64(g.Number32())
	if r.first == 0 || r.last == 0 {
		g.Fail("results are counted from 1")
	}
	sign := ""
	if r.fromEnd {
		sign = "-"
	}
	r.text = sign + strconv.FormatInt(r.first, 10) + ":" + sign + strconv.FormatInt(r.last, 10)
	r.first, r.last = min(r.first, r.last), max(r.first, r.last)
	return &r
}

// of is what of n results is in the window: those at indexes [lo, hi).
func (r *partialRange) of(n int) (lo, hi int) {
	lo, hi = int(min(r.first-1, int64(n))), int(min(r.last, int64(n)))
	if r.fromEnd {
		lo, hi = n-hi, n-lo
	}
	return lo, hi
}

// window are the hits in the window.
func (r *partialRange) window(hits []int) []int {
	lo, hi := r.of(len(hits))
	return hits[lo:hi]
}

// positions are the messages in the window, for UID FETCH (RFC 9394 section
// 3.3).
func (r *partialRange) positions(where positions) positions {
	lo, hi := r.of(where.count())
	var within positions
	at := 0 // how many come before the range
	for _, p := range where {
		n := p[1] - p[0]
		from, to := max(lo-at, 0), min(hi-at, n)
		if from < to {
			within = append(within, [2]int{p[0] + from, p[0] + to})
		}
		at += n
	}
	return within
}

// printPartial adds PARTIAL to the ESEARCH response.
func (r *results) printPartial(s *session, hits []int) {
	s.enc.Raw(" PARTIAL (" + r.partial.text + " ")
	if window := r.partial.window(hits); len(window) > 0 {
		r.printSet(s, window)
	} else {
		s.enc.Raw("NIL")
	}
	s.enc.Byte(')')
}

// parseOption reads what follows the name of a result option.
func (r *results) parseOption(g *grammar, option searchReturn) {
	if option == returnPartial {
		if r.partial != nil {
			g.Fail("PARTIAL comes once")
		}
		g.SP()
		r.partial = parsePartial(g)
	}
	if option == returnUpdate && g.PeekFold(" (") {
		g.SP()
		r.fetch = new(fetch)
		g.List(func() { r.fetch.parseItem(g) })
	}
	r.returns |= option
	if r.partial != nil && r.returns&returnAll != 0 {
		g.Fail("PARTIAL and ALL exclude each other") // RFC 9394 section 3.1
	}
}

// toldInPart are the hits in the window, with the first and last as far as
// they were asked for, in the order of the result.
func (r *results) toldInPart(hits []int) []int {
	told := slices.Clone(r.partial.window(hits))
	for _, i := range r.ends(hits) {
		if !slices.Contains(told, i) {
			told = append(told, i)
		}
	}
	return told
}
