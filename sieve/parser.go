package sieve

import "fmt"

// node is a command or a test as it was written.
type node struct {
	pos   Pos
	name  string
	args  []arg
	tests []*node
	list  bool // the tests stood in parentheses
	block []*node
	has   bool // there was a block, be it empty
}

type argKind int

const (
	argNone argKind = iota
	argTag
	argNumber
	argString
	argList
)

func (k argKind) String() string {
	return [...]string{"no", "tag", "number", "string", "string list"}[k]
}

// arg is one argument as it was written.
type arg struct {
	pos  Pos
	kind argKind
	tag  string
	num  uint64
	strs []str
}

// str is a string constant with its place.
type str struct {
	pos  Pos
	text string
}

// maxArguments is how many a command or test may have, tags included: as many
// as with Pigeonhole.
const maxArguments = 32

// parser reads RFC 5228 section 8.2. After an error it goes on behind the next
// semicolon or block, to find more.
type parser struct {
	lex    *lexer
	tok    token
	name   string
	limits Limits
	blocks int // those around
	inTest int // those around
	errors int
	report func(Pos, string)
}

// parse reads a whole script. Errors go to report.
func parse(name string, src []byte, limits Limits, report func(Pos, string)) []*node {
	p := &parser{name: name, limits: limits}
	p.report = func(at Pos, text string) {
		p.errors++
		report(at, text)
	}
	p.lex = newLexer(src, func(line, col int, text string) { p.report(Pos{name, line, col}, text) })
	p.advance()
	nodes := p.commands(false)
	return nodes
}

func (p *parser) advance() { p.tok = p.lex.next() }

func (p *parser) pos() Pos { return Pos{p.name, p.tok.line, p.tok.col} }

func (p *parser) is(punct string) bool { return p.tok.kind == tokPunct && p.tok.text == punct }

// fail reports an error, unless the lexer did for this token.
func (p *parser) fail(format string, args ...any) {
	if p.tok.kind != tokBad {
		p.report(p.pos(), fmt.Sprintf(format, args...))
	}
}

func (p *parser) giveUp() bool { return p.errors >= p.limits.Errors }

// commands reads to the end of the block or file.
func (p *parser) commands(inBlock bool) []*node {
	var nodes []*node
	for !p.giveUp() {
		switch {
		case p.tok.kind == tokEnd:
			if inBlock {
				p.fail("unexpected end of file, missing '}'")
			}
			return nodes
		case p.is("}") && inBlock:
			p.advance()
			return nodes
		case p.tok.kind != tokIdentifier:
			p.fail("expected the next command name, but found %s", p.tok.describe())
			if p.is("}") {
				p.advance()
				continue
			}
			p.recover()
		default:
			n, ok := p.command()
			if ok {
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

func (p *parser) command() (*node, bool) {
	n, ok := p.call()
	if !ok {
		p.recover()
		return n, false
	}
	switch {
	case p.is(";"):
		p.advance()
		return n, true
	case p.is("{"):
		if !p.enter(&p.blocks, "blocks") {
			p.recover()
			return n, false
		}
		p.advance()
		n.has = true
		n.block = p.commands(true)
		p.blocks--
		return n, true
	}
	p.fail("expected end of command ';' or the beginning of a compound block '{', but found %s", p.tok.describe())
	p.recover()
	return n, false
}

// call reads a name with its arguments and tests.
func (p *parser) call() (*node, bool) {
	n := &node{pos: p.pos(), name: p.tok.text}
	p.advance()
	for {
		switch {
		case p.tok.kind == tokBad:
			return n, false
		case len(n.args) > maxArguments:
			p.fail("too many arguments for '%s': more than %d", n.name, maxArguments)
			return n, false
		case p.tok.kind == tokTag:
			n.args = append(n.args, arg{pos: p.pos(), kind: argTag, tag: p.tok.text})
			p.advance()
		case p.tok.kind == tokNumber:
			n.args = append(n.args, arg{pos: p.pos(), kind: argNumber, num: p.tok.num})
			p.advance()
		case p.tok.kind == tokString:
			n.args = append(n.args, arg{pos: p.pos(), kind: argString, strs: []str{{p.pos(), p.tok.text}}})
			p.advance()
		case p.is("["):
			a, ok := p.list()
			if !ok {
				return n, false
			}
			n.args = append(n.args, a)
		default:
			return n, p.tests(n)
		}
	}
}

func (p *parser) list() (arg, bool) {
	a := arg{pos: p.pos(), kind: argList}
	p.advance()
	for {
		if p.tok.kind != tokString {
			p.fail("expected string after '[' or ',' in a string list, but found %s", p.tok.describe())
			return a, false
		}
		a.strs = append(a.strs, str{p.pos(), p.tok.text})
		p.advance()
		if p.is("]") {
			p.advance()
			return a, true
		}
		if !p.is(",") {
			p.fail("expected ',' or end of string list ']', but found %s", p.tok.describe())
			return a, false
		}
		p.advance()
	}
}

// tests reads one test, a list in parentheses, or nothing.
func (p *parser) tests(n *node) bool {
	switch {
	case p.tok.kind == tokIdentifier:
		if !p.enter(&p.inTest, "tests") {
			return false
		}
		defer func() { p.inTest-- }()
		t, ok := p.call()
		n.tests = append(n.tests, t)
		return ok
	case !p.is("("):
		return true
	}
	if !p.enter(&p.inTest, "tests") {
		return false
	}
	defer func() { p.inTest-- }()
	n.list = true
	for {
		p.advance()
		if p.tok.kind != tokIdentifier {
			p.fail("expected test name, but found %s", p.tok.describe())
			return false
		}
		t, ok := p.call()
		n.tests = append(n.tests, t)
		if !ok {
			return false
		}
		if p.is(")") {
			p.advance()
			return true
		}
		if !p.is(",") {
			p.fail("expected ',' or end of test list ')', but found %s", p.tok.describe())
			return false
		}
	}
}

// enter counts a level of blocks or tests, unless that is one too many.
func (p *parser) enter(depth *int, of string) bool {
	if *depth >= p.limits.Nesting {
		p.fail("maximum nesting of %s (%d) exceeded", of, p.limits.Nesting)
		return false
	}
	*depth++
	return true
}

// recover passes over the rest of a broken command: to the end of its block,
// or the next semicolon.
func (p *parser) recover() {
	braces := 0
	for p.tok.kind != tokEnd && !p.giveUp() {
		switch {
		case p.is(";") && braces == 0:
			p.advance()
			return
		case p.is("{"):
			braces++
		case p.is("}"):
			if braces == 0 {
				return
			}
			if braces--; braces == 0 {
				p.advance()
				return
			}
		}
		p.advance()
	}
}
