package imap

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"gomaild/message"
)

// sortMessages is SORT and UID SORT: RFC 5256 section 3, with the results of
// RFC 5267 (ESORT) and the keys of RFC 5957 (SORT=DISPLAY).
type sortMessages struct {
	search
	criteria []sortCriterion
	wanted   fieldMask
	name     string // of the criteria
	gone     bool   // a message could not be read
}

// sortCriterion is one key of the order.
type sortCriterion struct {
	key     sortKey
	reverse bool
}

// sortKey is what messages are compared by.
type sortKey struct {
	wanted fieldMask
	of     func(h *header) sortValue
}

// sortValue is a key's value of one message: a number or folded text.
type sortValue struct {
	number int64
	text   string
}

// textValue is that of a text: its first octets, as a number, decide most
// comparisons.
func textValue(text string) sortValue {
	var first [8]byte
	copy(first[:], text)
	return sortValue{number: int64(binary.BigEndian.Uint64(first[:]) ^ 1<<63), text: text}
}

func (v sortValue) compare(w sortValue) int {
	if v.number != w.number {
		return cmp.Compare(v.number, w.number)
	}
	return strings.Compare(v.text, w.text)
}

// sortKeys: RFC 5256 section 3, RFC 5957 section 3.
var sortKeys = map[string]sortKey{
	"ARRIVAL":     {0, func(h *header) sortValue { return sortValue{number: h.facts.InternalDate.UnixNano()} }},
	"DATE":        {fieldDate.set(), func(h *header) sortValue { return sortValue{number: h.sent().UnixNano()} }},
	"SIZE":        {0, func(h *header) sortValue { return sortValue{number: h.facts.WireSize} }},
	"SUBJECT":     {fieldSubject.set(), sortSubject},
	"FROM":        {fieldFrom.set(), func(h *header) sortValue { return h.localPart(fieldFrom) }},
	"TO":          {fieldTo.set(), func(h *header) sortValue { return h.localPart(fieldTo) }},
	"CC":          {fieldCc.set(), func(h *header) sortValue { return h.localPart(fieldCc) }},
	"DISPLAYFROM": {fieldFrom.set(), func(h *header) sortValue { return h.displayName(fieldFrom) }},
	"DISPLAYTO":   {fieldTo.set(), func(h *header) sortValue { return h.displayName(fieldTo) }},
}

func sortSubject(h *header) sortValue {
	base, _ := h.baseSubject()
	return textValue(base)
}

func parseSort(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := sortMessages{search: search{results: results{byUID: byUID}}}
		g.SP()
		if g.Peek() != '(' {
			if g.Word() != "RETURN" {
				g.Fail("sort criteria expected")
			}
			g.SP()
			r.parse(g)
			g.SP()
		}
		r.parseCriteria(g)
		g.SP()
		r.parseProgram(g)
		return r
	}
}

func (r *sortMessages) parseCriteria(g *grammar) {
	g.List(func() {
		var c sortCriterion
		word := g.Word()
		if c.reverse = word == "REVERSE"; c.reverse {
			g.SP()
			word = g.Word()
		}
		r.name += fmt.Sprint(" ", word, c.reverse)
		key, known := sortKeys[word]
		switch {
		case !known:
			g.Fail("unknown sort criterion")
		case len(r.criteria) >= g.limits.SortKeys:
			g.Fail("more than %d sort criteria", g.limits.SortKeys)
		}
		c.key = key
		r.wanted |= key.wanted
		r.criteria = append(r.criteria, c)
	})
	if len(r.criteria) == 0 {
		g.Fail("sort criteria expected")
	}
}

func (r sortMessages) run(ctx context.Context, s *session) (reply, error) {
	hits, err := r.find(ctx, s)
	if err != nil {
		return reply{}, err
	}
	if hits, err = r.remembered(ctx, s, hits); err != nil {
		return reply{}, err
	}
	r.print(s, "SORT", hits)
	if r.returns&returnUpdate != 0 {
		r.follow(s, hits, &r)
	}
	return reply{}, nil
}

// sortRow is a message with what it is compared by.
type sortRow struct {
	index  int
	values []sortValue
}

// compare orders messages by the criteria; 0 is for those that are the same in
// all of them.
func (r *sortMessages) compare(a, b sortRow) int {
	for n, c := range r.criteria {
		switch order := a.values[n].compare(b.values[n]); {
		case order != 0 && c.reverse:
			return -order
		case order != 0:
			return order
		}
	}
	return 0
}

// less is the whole order: compare, and then the numbers.
func (r *sortMessages) less(a, b sortRow) bool {
	return cmp.Or(r.compare(a, b), cmp.Compare(a.index, b.index)) < 0
}

// order sorts hits. Messages that are the same in every criterion stay in the
// order of their numbers (RFC 5256 section 3).
func (r *sortMessages) order(ctx context.Context, s *session, hits []int) ([]int, error) {
	rows := make([]sortRow, 0, len(hits))
	values := make([]sortValue, 0, len(hits)*len(r.criteria))
	r.gone = false
	err := s.readHeaders(ctx, hits, r.wanted, func(h *header) {
		r.gone = r.gone || h.gone
		for _, c := range r.criteria {
			values = append(values, c.key.of(h))
		}
		rows = append(rows, sortRow{hits[len(rows)], values[len(values)-len(r.criteria):]})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b sortRow) int { return cmp.Or(r.compare(a, b), cmp.Compare(a.index, b.index)) })
	sorted := make([]int, len(rows))
	for n, row := range rows {
		sorted[n] = row.index
	}
	return sorted, nil
}

// localPart is the addr-mailbox of the first address.
func (h *header) localPart(f headerField) sortValue {
	first, _ := h.first(f)
	return textValue(fold(first.Local))
}

// displayName is what a client shows of the first address: the name, or the
// address if there is none; of a group its name (RFC 5957 section 3).
func (h *header) displayName(f headerField) sortValue {
	first, there := h.first(f)
	name := message.DecodeHeader(first.Name)
	switch {
	case !there:
		return textValue("")
	case first.GroupStart:
		name = message.DecodeHeader(first.Local)
	case name == "" && first.Domain == "":
		name = first.Local
	case name == "":
		name = first.Local + "@" + first.Domain
	}
	return textValue(fold(name))
}
