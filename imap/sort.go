package imap

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gomaild/imap/thread"
	"gomaild/message"
	"gomaild/storage"
)

// sortMessages is SORT and UID SORT: RFC 5256 section 3, with the results of
// RFC 5267 (ESORT) and the keys of RFC 5957 (SORT=DISPLAY).
type sortMessages struct {
	search
	criteria []sortCriterion
	needs    fetchNeeds
}

// sortCriterion is one key of the order.
type sortCriterion struct {
	key     sortKey
	reverse bool
}

// sortKey is what messages are compared by.
type sortKey struct {
	needs fetchNeeds
	of    func(m *fetched) sortValue
}

// sortValue is a key's value of one message: a number or folded text.
type sortValue struct {
	number int64
	text   string
}

func (v sortValue) compare(w sortValue) int {
	return cmp.Or(cmp.Compare(v.number, w.number), strings.Compare(v.text, w.text))
}

// sortKeys: RFC 5256 section 3, RFC 5957 section 3.
var sortKeys = map[string]sortKey{
	"ARRIVAL":     {needsInfo, func(m *fetched) sortValue { return sortValue{number: m.info.InternalDate.UnixNano()} }},
	"DATE":        {needsInfo | needsSummary, func(m *fetched) sortValue { return sortValue{number: m.sent().UnixNano()} }},
	"SIZE":        {needsInfo, func(m *fetched) sortValue { return sortValue{number: m.info.WireSize} }},
	"SUBJECT":     {needsSummary, func(m *fetched) sortValue { return sortValue{text: m.baseSubject()} }},
	"FROM":        {needsSummary, func(m *fetched) sortValue { return localPart(m.envelope().From) }},
	"TO":          {needsSummary, func(m *fetched) sortValue { return localPart(m.envelope().To) }},
	"CC":          {needsSummary, func(m *fetched) sortValue { return localPart(m.envelope().Cc) }},
	"DISPLAYFROM": {needsSummary, func(m *fetched) sortValue { return displayName(m.envelope().From) }},
	"DISPLAYTO":   {needsSummary, func(m *fetched) sortValue { return displayName(m.envelope().To) }},
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
			if r.parse(g); r.returns&returnsNothing != 0 {
				g.Fail("unknown SORT return option") // CONTEXT=SORT is not served
			}
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
		key, known := sortKeys[word]
		switch {
		case !known:
			g.Fail("unknown sort criterion")
		case len(r.criteria) >= g.limits.SortKeys:
			g.Fail("more than %d sort criteria", g.limits.SortKeys)
		}
		c.key = key
		r.needs |= key.needs
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
	if hits, err = r.order(ctx, s, hits); err != nil {
		return reply{}, err
	}
	r.print(s, "SORT", hits)
	return reply{}, nil
}

// order sorts hits. Messages that are the same in every criterion stay in the
// order of their numbers (RFC 5256 section 3).
func (r *sortMessages) order(ctx context.Context, s *session, hits []int) ([]int, error) {
	type row struct {
		index  int
		values []sortValue
	}
	rows := make([]row, 0, len(hits))
	values := make([]sortValue, 0, len(hits)*len(r.criteria))
	progress := s.newProgress(len(hits))
	for n, i := range hits {
		progress.at(n)
		m, err := s.known(ctx, i, r.needs)
		if err != nil {
			return nil, err
		}
		for _, c := range r.criteria {
			values = append(values, c.key.of(m))
		}
		rows = append(rows, row{i, values[len(values)-len(r.criteria):]})
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		for n, c := range r.criteria {
			switch order := a.values[n].compare(b.values[n]); {
			case order != 0 && c.reverse:
				return -order
			case order != 0:
				return order
			}
		}
		return 0
	})
	sorted := make([]int, len(rows))
	for n, row := range rows {
		sorted[n] = row.index
	}
	return sorted, nil
}

// known is what the store knows of the message at index i without its content.
// Of a message that is gone meanwhile nothing is known.
func (s *session) known(ctx context.Context, i int, needs fetchNeeds) (*fetched, error) {
	m := &fetched{number: i + 1, view: s.box.known, msg: s.box.known.Messages[i]}
	err := fetch{needs: needs}.gather(ctx, s.box.mailbox, m)
	if errors.Is(err, storage.ErrExpunged) {
		return m, ctx.Err()
	}
	return m, cmp.Or(err, ctx.Err())
}

// envelope is empty for a message that is gone.
func (m *fetched) envelope() *message.Envelope {
	if m.summary == nil || m.summary.Root.Envelope == nil {
		return &message.Envelope{}
	}
	return m.summary.Root.Envelope
}

// sent is the date of RFC 5256 section 2.2: that of the Date field, or
// INTERNALDATE.
func (m *fetched) sent() time.Time {
	if m.summary == nil || m.summary.Date.IsZero() {
		return m.info.InternalDate
	}
	return m.summary.Date
}

// baseSubject is the base subject of RFC 5256 section 2.1, folded.
func (m *fetched) baseSubject() string {
	base, _ := thread.BaseSubject(message.DecodeHeader(m.envelope().Subject))
	return fold(base)
}

// localPart is the addr-mailbox of the first address.
func localPart(list []message.Mailbox) sortValue {
	if len(list) == 0 {
		return sortValue{}
	}
	return sortValue{text: fold(list[0].Local)}
}

// displayName is what a client shows of the first address: the name, or the
// address if there is none; of a group its name (RFC 5957 section 3).
func displayName(list []message.Mailbox) sortValue {
	if len(list) == 0 {
		return sortValue{}
	}
	first := list[0]
	name := message.DecodeHeader(first.Name)
	switch {
	case first.GroupStart:
		name = message.DecodeHeader(first.Local)
	case name == "":
		name = first.Local + "@" + first.Domain
	}
	return sortValue{text: fold(name)}
}
