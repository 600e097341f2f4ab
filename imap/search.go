package imap

import (
	"context"
	"errors"
	"strings"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// search is SEARCH and UID SEARCH, RFC 3501 section 6.4.4, with the results of
// RFC 4731 (ESEARCH).
type search struct {
	byUID    bool
	extended bool // RETURN was given
	returns  searchReturn
	key      searchKey
	sets     []*setKey // in key; they need the View
}

// searchReturn is a set of result options.
type searchReturn uint8

const (
	returnMin searchReturn = 1 << iota
	returnMax
	returnCount
	returnAll
)

var searchReturns = map[string]searchReturn{
	"MIN": returnMin, "MAX": returnMax, "COUNT": returnCount, "ALL": returnAll,
}

func parseSearch(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		p := searchParser{g: g}
		r := search{byUID: byUID}
		g.SP()
		word := p.word()
		if word == "RETURN" {
			g.SP()
			r.parseReturn(g)
			g.SP()
			word = p.word()
		}
		if word == "CHARSET" {
			g.SP()
			p.setCharset(g.AString())
			g.SP()
			word = p.word()
		}
		keys := []searchKey{p.keyAfter(word)}
		for g.Accept(' ') && !g.AtEnd() {
			keys = append(keys, p.key())
		}
		g.End()
		r.key, r.sets = allOf(keys), p.sets
		return r
	}
}

func (r *search) parseReturn(g *grammar) {
	r.extended = true
	g.List(func() {
		option := searchReturns[g.Word()]
		if option == 0 {
			g.Fail("unknown SEARCH return option")
		}
		r.returns |= option
	})
	if r.returns == 0 {
		r.returns = returnAll
	}
}

func (r search) run(ctx context.Context, s *session) (reply, error) {
	view := s.box.known
	for _, k := range r.sets {
		if err := k.bind(view); err != nil {
			return reply{}, err
		}
	}
	var found []uint32
	for i, m := range view.Messages {
		ok, err := r.matches(ctx, s, i)
		if errors.Is(err, storage.ErrExpunged) {
			continue // gone while we looked: it matches nothing
		}
		if err != nil {
			return reply{}, err
		}
		switch {
		case !ok:
		case r.byUID:
			found = append(found, uint32(m.UID))
		default:
			found = append(found, uint32(i+1))
		}
	}
	r.print(s, found)
	return reply{}, nil
}

// matches looks at one message; what is opened for it is closed again.
func (r search) matches(ctx context.Context, s *session, i int) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c := &candidate{box: s.box, index: i, msg: s.box.known.Messages[i]}
	ok, err := r.key.match(ctx, c)
	s.warn("close message", c.close())
	return ok, err
}

func (r search) print(s *session, found []uint32) {
	if r.extended {
		r.printExtended(s, found)
		return
	}
	s.enc.Raw("* SEARCH")
	for _, n := range found {
		s.enc.Byte(' ')
		s.enc.Number(uint64(n))
	}
	s.enc.CRLF()
}

// printExtended: RFC 4731 section 3.1. Without a match only COUNT is told.
func (r search) printExtended(s *session, found []uint32) {
	s.enc.Raw("* ESEARCH (TAG ")
	s.enc.String(s.tag)
	s.enc.Byte(')')
	if r.byUID {
		s.enc.Raw(" UID")
	}
	if r.returns&returnMin != 0 && len(found) > 0 {
		s.enc.Raw(" MIN ")
		s.enc.Number(uint64(found[0]))
	}
	if r.returns&returnMax != 0 && len(found) > 0 {
		s.enc.Raw(" MAX ")
		s.enc.Number(uint64(found[len(found)-1]))
	}
	if r.returns&returnCount != 0 {
		s.enc.Raw(" COUNT ")
		s.enc.Number(uint64(len(found)))
	}
	if r.returns&returnAll != 0 && len(found) > 0 {
		s.enc.Raw(" ALL ")
		s.enc.Append(func(dst []byte) []byte { return wire.AppendSet(dst, found) })
	}
	s.enc.CRLF()
}

// searchParser reads search keys.
type searchParser struct {
	g       *grammar
	charset string // "" is UTF-8
	sets    []*setKey
	depth   int
	count   int
}

// setCharset: RFC 3501 section 7.1, BADCHARSET.
func (p *searchParser) setCharset(name string) {
	if _, ok := toUTF8(name, ""); !ok && p.g.Err() == nil {
		p.g.FailCode("BADCHARSET (US-ASCII UTF-8)", "charset is not known")
	}
	p.charset = name
}

// word is the name of a key, "" for a key that is a set or in parentheses.
func (p *searchParser) word() string {
	if c := p.g.Peek(); c == '(' || c == '*' || '0' <= c && c <= '9' {
		return ""
	}
	return p.g.Word()
}

func (p *searchParser) key() searchKey { return p.keyAfter(p.word()) }

// keyAfter reads a key whose name has been read. It counts keys and depth, so
// that neither parsing nor matching can be made to run away.
func (p *searchParser) keyAfter(word string) searchKey {
	g := p.g
	p.depth++
	p.count++
	defer func() { p.depth-- }()
	switch {
	case p.depth > g.limits.SearchDepth:
		g.Fail("search is nested deeper than %d", g.limits.SearchDepth)
	case p.count > g.limits.SearchKeys:
		g.Fail("search has more than %d keys", g.limits.SearchKeys)
	case word == "" && g.Peek() == '(':
		return p.group()
	case word == "":
		return p.set(g.NumSet(), false)
	}
	if g.Err() != nil {
		return nothing
	}
	parse, known := p.keyParser(word)
	if !known {
		g.Fail("unknown search key")
		return nothing
	}
	return parse()
}

func (p *searchParser) group() searchKey {
	var keys []searchKey
	p.g.List(func() { keys = append(keys, p.key()) })
	if len(keys) == 0 {
		p.g.Fail("search key expected")
	}
	return allOf(keys)
}

func (p *searchParser) set(set wire.NumSet, byUID bool) searchKey {
	k := &setKey{set: set, byUID: byUID}
	p.sets = append(p.sets, k)
	return searchKey{costFlags, k.match}
}

// text is a string argument, as folded UTF-8.
func (p *searchParser) text() string {
	p.g.SP()
	s, _ := toUTF8(p.charset, p.g.AString())
	return fold(s)
}

// fieldName is the name of a header field.
func (p *searchParser) fieldName() string {
	p.g.SP()
	return strings.TrimSpace(p.g.AString())
}
