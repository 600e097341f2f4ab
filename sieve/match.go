package sieve

import (
	"cmp"
	"strconv"
	"strings"
)

type matchKind int

const (
	matchIs matchKind = iota
	matchContains
	matchMatches
	matchRegex
	matchValue
	matchCount
	matchList
)

// match is a match type with its comparator and keys: RFC 5228 section 2.7.
type match struct {
	pos      Pos
	kind     matchKind
	relation string // of :value and :count, "gt" ...
	cmp      *comparator
	keys     texts
	fixed    []string   // keys that are constant, folded where that helps
	pieces   [][]string // of fixed keys with :matches: what each value must hold
	patterns []*pattern // of fixed keys with :regex
	capture  bool       // match values are wanted
}

// match reads the comparator and match type of a call.
func (c *checker) match(n *call, keys arg) match {
	m := match{pos: n.pos, cmp: c.comparator(n), keys: c.texts(keys), capture: c.required["variables"]}
	m.kind, m.relation = c.matchKind(n)
	switch {
	case m.cmp == nil:
		return m
	case (m.kind == matchContains || m.kind == matchMatches || m.kind == matchRegex) && !m.cmp.substring:
		c.errorf(n.pos, "the specified %s comparator does not support substring matching as required by this match type", m.cmp.name)
		return m
	}
	fixed, ok := m.keys.constants()
	if !ok {
		return m
	}
	if m.kind == matchRegex {
		m.patterns = c.patterns(n, m.cmp, m.keys, fixed)
	}
	if m.kind == matchContains && m.cmp.fold != nil {
		for i, k := range fixed {
			fixed[i] = m.cmp.fold(k)
		}
	}
	if m.kind == matchMatches && m.cmp.octets {
		for _, k := range fixed {
			m.pieces = append(m.pieces, pieces(k, m.cmp.fold))
		}
	}
	m.fixed = fixed
	return m
}

func (c *checker) comparator(n *call) *comparator {
	name := "i;ascii-casemap"
	if n.spec.octets {
		name = "i;octet"
	}
	a, given := n.tags["comparator"]
	if given {
		name = a.strs[0].text
	}
	for _, x := range comparators() {
		if x.name != name {
			continue
		}
		if name == "i;octet" || name == "i;ascii-casemap" || c.required["comparator-"+name] {
			return x
		}
	}
	c.errorf(a.pos, "unknown comparator '%s' specified for the %s %s", name, n.name, n.spec.kind())
	return nil
}

func (c *checker) matchKind(n *call) (matchKind, string) {
	kinds := []struct {
		tag  string
		kind matchKind
	}{{"contains", matchContains}, {"matches", matchMatches}, {"regex", matchRegex}, {"list", matchList}}
	for _, k := range kinds {
		if n.has(k.tag) {
			return k.kind, ""
		}
	}
	for tag, kind := range map[string]matchKind{"value": matchValue, "count": matchCount} {
		if a, ok := n.tags[tag]; ok {
			return kind, c.relation(n, tag, a)
		}
	}
	return matchIs, ""
}

func (c *checker) relation(n *call, tag string, a arg) string {
	rel := strings.ToLower(a.strs[0].text)
	if _, ok := holds(rel, 0); !ok {
		c.errorf(a.pos, "the :%s match-type of the %s %s requires a relational match to be 'gt', 'ge', 'lt', 'le', 'eq' or 'ne', but '%s' was found",
			tag, n.name, n.spec.kind(), a.strs[0].text)
	}
	return rel
}

// holds reports whether a relation holds for the sign of a comparison: RFC 5231
// section 4.
func holds(relation string, sign int) (yes, ok bool) {
	switch relation {
	case "gt":
		return sign > 0, true
	case "ge":
		return sign >= 0, true
	case "lt":
		return sign < 0, true
	case "le":
		return sign <= 0, true
	case "eq":
		return sign == 0, true
	case "ne":
		return sign != 0, true
	}
	return false, false
}

// matching is one test on its way over values.
type matching struct {
	*match
	m    *machine
	keys []string
	n    int // values seen
}

func (t *match) begin(m *machine) (matching, error) {
	x := matching{match: t, m: m, keys: t.fixed}
	if t.fixed != nil {
		return x, nil
	}
	keys, err := t.keys.values(m)
	if err == nil && t.kind == matchContains && t.cmp.fold != nil {
		for i := range keys {
			keys[i] = t.cmp.fold(keys[i])
		}
	}
	x.keys = keys
	return x, err
}

// field tries the value of a field, which is folded once for all tests.
func (x *matching) field(f *field) (bool, error) {
	if x.cmp.ascii && (x.kind == matchContains || x.kind == matchMatches) {
		return x.try(f.value(), f.foldedASCII())
	}
	return x.value(f.value())
}

// value tries one value.
func (x *matching) value(v string) (bool, error) {
	folded := v
	if x.cmp.fold != nil && (x.kind == matchContains || x.pieces != nil) {
		folded = x.m.folded(x.cmp, v)
	}
	return x.try(v, folded)
}

// try tries a value; folded is needed for :contains and :matches.
func (x *matching) try(v, folded string) (bool, error) {
	x.n++
	if err := x.m.spend(x.pos, len(x.keys)*(1+len(v)/512)); err != nil {
		return false, err
	}
	switch x.kind {
	case matchCount:
		return false, nil
	case matchContains:
		return x.any(func(key string) bool { return strings.Contains(folded, key) }), nil
	case matchIs:
		return x.any(func(key string) bool { return x.cmp.equal(v, key) }), nil
	case matchValue:
		return x.any(func(key string) bool {
			yes, _ := holds(x.relation, cmp.Compare(x.cmp.compare(v, key), 0))
			return yes
		}), nil
	case matchMatches:
		return x.glob(v, folded)
	case matchList:
		return x.listed(v)
	}
	return x.regex(v)
}

// foldedValue is a value as a comparator folds it.
type foldedValue struct{ comparator, value, folded string }

// folded folds a value; the last one is remembered, as the rules of a script
// often ask for the same field.
func (m *machine) folded(c *comparator, v string) string {
	if c.fold == nil {
		return v
	}
	if m.fold.comparator != c.name || m.fold.value != v {
		m.fold = foldedValue{c.name, v, c.fold(v)}
	}
	return m.fold.folded
}

func (x *matching) any(f func(key string) bool) bool {
	for _, k := range x.keys {
		if f(k) {
			return true
		}
	}
	return false
}

// end is the answer when every value was tried.
func (x *matching) end() (bool, error) {
	if x.kind != matchCount {
		return false, nil
	}
	n := strconv.Itoa(x.n)
	return x.any(func(key string) bool {
		yes, _ := holds(x.relation, x.cmp.compare(n, key))
		return yes
	}), nil
}

// over tries values one by one.
func (t *match) over(m *machine, values func(yield func(string) bool) error) (bool, error) {
	x, err := t.begin(m)
	if err != nil {
		return false, err
	}
	found := false
	var inner error
	err = values(func(v string) bool {
		found, inner = x.value(v)
		return !found && inner == nil
	})
	switch {
	case inner != nil:
		return false, inner
	case err != nil:
		return false, err
	case found:
		return true, nil
	}
	return x.end()
}
