package imap

import (
	"context"
	"errors"
	"strings"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// search is SEARCH and UID SEARCH, RFC 3501 section 6.4.4.
type search struct {
	results
	key  searchKey
	sets []*setKey // in key; they need the View
	// badCharset: RFC 3501 section 7.1. It is found when the command is run,
	// as a search that fails also has a result to forget.
	badCharset bool
}

func parseSearch(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		p := searchParser{g: g}
		r := search{results: results{byUID: byUID}}
		g.SP()
		word := p.word()
		if word == "RETURN" {
			g.SP()
			r.parse(g)
			g.SP()
			word = p.word()
		}
		if word == "CHARSET" {
			if g.enabled&utf8Accept != 0 {
				g.Fail("with UTF8=ACCEPT the charset is UTF-8") // RFC 6855 section 3
			}
			g.SP()
			p.setCharset(g.AString())
			g.SP()
			word = p.word()
		}
		r.parseKeys(&p, word)
		return r
	}
}

// parseProgram reads the charset and keys of SORT and THREAD.
func (r *search) parseProgram(g *grammar) {
	p := searchParser{g: g}
	p.setCharset(g.AString())
	g.SP()
	r.parseKeys(&p, p.word())
}

// parseKeys reads the keys, of whose first the name has been read, to the end
// of the command.
func (r *search) parseKeys(p *searchParser, word string) {
	keys := []searchKey{p.keyAfter(word)}
	for p.g.Accept(' ') && !p.g.AtEnd() {
		keys = append(keys, p.key())
	}
	p.g.End()
	r.key, r.sets, r.modSeq, r.badCharset = allOf(keys), p.sets, p.modSeq, p.badCharset
}

func (r search) run(ctx context.Context, s *session) (reply, error) {
	if s.enabled&imap4rev2 != 0 {
		r.inRev2()
	}
	hits, err := r.find(ctx, s)
	if err != nil {
		return reply{}, err
	}
	r.print(s, "SEARCH", hits)
	if r.returns&returnUpdate != 0 {
		r.follow(s, hits, nil)
	}
	return reply{}, nil
}

// find looks at every message of the known View and returns the indexes of
// those that match.
func (r *search) find(ctx context.Context, s *session) ([]int, error) {
	if err := r.checkTag(s); err != nil {
		return nil, err
	}
	if r.modSeq {
		s.useModSeq()
	}
	for _, k := range r.sets {
		s.holds = s.holds || !k.byUID // RFC 7162 section 3.2.10.2
		if err := k.bind(s.box); err != nil {
			return nil, err
		}
	}
	if r.returns&returnSave != 0 {
		s.box.saved = nil // RFC 5182 section 2.1: what is NO from here on saves nothing
	}
	if r.badCharset {
		return nil, no("BADCHARSET (US-ASCII UTF-8)", "charset is not known")
	}
	var hits []int
	known := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", known.Close()) }()
	progress := s.newProgress(len(s.box.known.Messages))
	c := &candidate{box: s.box, known: known}
	for i := range s.box.known.Messages {
		progress.at(i)
		ok, err := r.matches(ctx, s, c, i)
		switch {
		case errors.Is(err, storage.ErrExpunged): // gone while we looked: it matches nothing
		case err != nil:
			return nil, err
		case ok:
			hits = append(hits, i)
		}
	}
	return hits, nil
}

// matches looks at one message; what is opened for it is closed again.
func (r *search) matches(ctx context.Context, s *session, c *candidate, i int) (bool, error) {
	if i%64 == 0 && ctx.Err() != nil {
		return false, ctx.Err()
	}
	c.index, c.msg, c.read, c.whole = i, s.box.known.Messages[i], false, nil
	ok, err := r.key.match(ctx, c)
	if c.opened != nil {
		s.warn("close message", c.opened.Close())
		c.opened = nil
	}
	return ok, err
}

// searchParser reads search keys.
type searchParser struct {
	g          *grammar
	charset    string // "" is UTF-8
	sets       []*setKey
	modSeq     bool // MODSEQ is among the keys
	badCharset bool // charset is not known
	depth      int
	count      int
}

// setCharset says what the strings of the keys are in.
func (p *searchParser) setCharset(name string) {
	_, known := toUTF8(name, "")
	p.charset, p.badCharset = name, !known
}

// word is the name of a key, "" for a key that is a set or in parentheses.
func (p *searchParser) word() string {
	if c := p.g.Peek(); c == '(' || c == '*' || c == '$' || '0' <= c && c <= '9' {
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
