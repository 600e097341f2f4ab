package sieve

import (
	"fmt"
	"slices"
	"strings"
)

// checker holds nodes against the table and builds what runs.
type checker struct {
	engine    *Engine
	required  map[string]bool // extensions in force
	once      map[string]bool // complaints made already
	variables map[string]bool // names used
	found     []Diagnostic
	errors    int
	begun     bool            // a command other than require was seen
	test      bool            // a test script
	tested    bool            // a script that one compiles
	trusted   bool            // the administrator's
	globals   map[string]bool // names that mean the same in every script
	library   *library
	loops     []string // names of the loops around, nil outside of any
}

// call is a node whose arguments fit its spec.
type call struct {
	*node
	spec     *spec
	tags     map[string]arg // by name; the value of a tag that takes one
	args     []arg          // positional; kind argNone where optional and absent
	subtests []test
	body     block
	previous *ifChain // of elsif and else
}

func (n *call) has(tag string) bool {
	_, ok := n.tags[tag]
	return ok
}

// one reports a complaint the first time only.
func (c *checker) one(at Pos, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !c.once[text] {
		c.once[text] = true
		c.errorf(at, "%s (only reported once at first occurrence)", text)
	}
}

// isRequired reports that the extension, or one of "a|b", is in force.
func (c *checker) isRequired(ext string) bool {
	if ext == "" {
		return true
	}
	for x := range strings.SplitSeq(ext, "|") {
		if c.required[x] {
			return true
		}
	}
	return false
}

// block builds the commands of a block.
func (c *checker) block(nodes []*node, top bool) block {
	var b block
	var chain *ifChain
	before := "require"
	for _, n := range nodes {
		name := strings.ToLower(n.name)
		if name != "require" {
			c.begun = true
		} else if !top || c.begun {
			c.errorf(n.pos, "require commands can only be placed at top level at the beginning of the file")
			continue
		}
		if (name == "import" || name == "export") && (!top || !leads(before)) {
			c.errorf(n.pos, "the %s command can only be placed at top level after require, import and export commands", name)
		}
		before = name
		isChained := name == "elsif" || name == "else"
		if isChained && (chain == nil || chain.closed) {
			c.errorf(n.pos, "the %s command must follow an if or elsif command", name)
			chain = &ifChain{} // what follows it is not to blame
			continue
		}
		if !isChained {
			chain = nil
		}
		built := c.node(n, false, chain)
		if ic, ok := built.(*ifChain); ok {
			if ic != chain {
				b = append(b, step{n.pos, ic})
			}
			chain = ic
			continue
		}
		if name == "if" {
			chain = &ifChain{}
		}
		if cmd, ok := built.(command); ok {
			b = append(b, step{n.pos, cmd})
		}
	}
	return b
}

// leads reports the commands behind which import and export of the drafts before
// RFC 6609 may stand.
func leads(name string) bool { return name == "require" || name == "import" || name == "export" }

// node checks one command or test; nil if it is not right.
func (c *checker) node(n *node, asTest bool, previous *ifChain) any {
	s := c.lookup(n, asTest)
	if s == nil {
		return nil
	}
	cl := &call{node: n, spec: s, tags: map[string]arg{}, previous: previous}
	before := c.errors
	right := c.arguments(cl)
	// A tag without its colon is a test, and may be all that is wrong.
	right = c.shapeOfTests(cl) && right && c.shapeOfBlock(cl)
	// What is inside is looked at all the same, so that all errors are told at once.
	if s.tests != arityNone {
		right = c.subtests(cl) && right
	}
	if s.block && !(right && c.isDead(cl)) {
		cl.body = c.inside(cl)
	}
	switch {
	case right && c.errors == before:
		return s.build(c, cl)
	case s.block && previous != nil:
		return previous
	case s.block:
		return &ifChain{}
	}
	return nil
}

// inside builds the block of a call.
func (c *checker) inside(n *call) block {
	outer := c.loops
	defer func() { c.loops = outer }()
	if n.spec.loop {
		name := ""
		if a, ok := n.tags["name"]; ok {
			name = a.strs[0].text
		}
		if len(outer) == maxLoops {
			c.errorf(n.pos, "foreverypart loops are nested deeper than %d", maxLoops)
		}
		c.loops = append(outer[:len(outer):len(outer)], name)
	}
	return c.block(n.node.block, false)
}

func (c *checker) lookup(n *node, asTest bool) *spec {
	s := c.engine.table[key(asTest, n.name)]
	if s != nil && c.isRequired(s.ext) {
		return s
	}
	other := c.engine.table[key(!asTest, n.name)]
	switch {
	case other != nil && c.isRequired(other.ext) && asTest:
		c.errorf(n.pos, "attempted to use command '%s' as test", n.name)
	case other != nil && c.isRequired(other.ext):
		c.errorf(n.pos, "attempted to use test '%s' as command", n.name)
	case asTest:
		c.one(n.pos, "unknown test '%s'", n.name)
	default:
		c.one(n.pos, "unknown command '%s'", n.name)
	}
	return nil
}

// isDead reports that the block behind the tests can never run: RFC 5463
// section 4 lets what it holds be unknown.
func (c *checker) isDead(n *call) bool {
	if len(n.subtests) != 1 {
		return false
	}
	value, known := constantOf(n.subtests[0])
	return known && !value
}

// arguments sorts tags and positional arguments.
func (c *checker) arguments(n *call) bool {
	groups := map[string]string{}
	tags := n.spec.allTags()
	var positional []arg
	for i := 0; i < len(n.node.args); i++ {
		a := n.node.args[i]
		if a.kind != argTag {
			positional = append(positional, a)
			continue
		}
		t, ok := c.tag(n, tags, a, groups)
		if !ok {
			return false
		}
		if len(positional) > 0 && !n.spec.loose {
			c.errorf(a.pos, "encountered an unexpected tagged argument ':%s' after the positional arguments of the %s %s", a.tag, n.name, n.spec.kind())
			return false
		}
		value := a
		if t.kind != kindNone {
			if i++; !c.tagValue(n, t, i) {
				return false
			}
			value = n.node.args[i]
		}
		n.tags[t.name] = value
	}
	return c.positional(n, positional)
}

func (c *checker) tag(n *call, tags []tagSpec, a arg, groups map[string]string) (tagSpec, bool) {
	name := strings.ToLower(a.tag)
	for _, t := range tags {
		if t.name != name || !c.isRequired(t.ext) {
			continue
		}
		group := t.group
		if group == "" {
			group = t.name
		}
		if groups[group] != "" {
			what := group
			if t.group == "" {
				what = "':" + t.name + "'"
			}
			c.errorf(a.pos, "encountered an unexpected ':%s' argument for the %s %s: %s was specified already", name, n.name, n.spec.kind(), what)
			return t, false
		}
		groups[group] = name
		return t, true
	}
	c.one(a.pos, "unknown tagged argument ':%s' for the %s %s", a.tag, n.name, n.spec.kind())
	return tagSpec{}, false
}

func (c *checker) tagValue(n *call, t tagSpec, i int) bool {
	if i >= len(n.node.args) {
		c.errorf(n.pos, "the :%s tag for the %s %s requires %s %s parameter, but no parameters were found", t.name, n.name, n.spec.kind(), article(t.kind), t.kind)
		return false
	}
	a := n.node.args[i]
	if !t.kind.takes(a.kind) {
		c.errorf(a.pos, "the :%s tag for the %s %s requires %s %s parameter, but %s %s parameter was found", t.name, n.name, n.spec.kind(), article(t.kind), t.kind, "a", a.kind)
		return false
	}
	return true
}

func article(paramKind) string { return "a" }

func (c *checker) positional(n *call, have []arg) bool {
	params := n.spec.params
	if n.spec.optional && len(have) == len(params)-1 {
		n.args = append(n.args, arg{pos: n.pos, kind: argNone})
		params = params[1:]
	}
	if n.spec.lastMay && len(have) == len(params)-1 {
		have = append(have, arg{pos: n.pos, kind: argNone})
	}
	for i, a := range have {
		if i >= len(params) {
			break
		}
		if a.kind != argNone && !params[i].kind.takes(a.kind) {
			c.errorf(a.pos, "the %s %s expects a %s argument as argument %d (%s), but a %s argument was found",
				n.name, n.spec.kind(), params[i].kind, i+1, params[i].name, a.kind)
			return false
		}
	}
	if len(have) != len(params) {
		c.errorf(n.pos, "the %s %s requires %d positional argument(s), but %d %s specified",
			n.name, n.spec.kind(), len(params), len(have), isAre(len(have)))
		return false
	}
	n.args = append(n.args, have...)
	return true
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// shapeOfTests holds the number of tests against the spec.
func (c *checker) shapeOfTests(n *call) bool {
	s, kind := n.spec, n.spec.kind()
	switch {
	case s.tests == arityNone && len(n.node.tests) > 0:
		c.strayTests(n)
	case s.tests == arityOne && len(n.node.tests) == 0:
		c.errorf(n.pos, "the %s %s requires one sub-test, but none is specified", n.name, kind)
	case s.tests == arityOne && n.list:
		c.errorf(n.pos, "the %s %s requires one sub-test, but a list of sub-tests is specified", n.name, kind)
	case s.tests == arityMany && !n.list:
		c.errorf(n.pos, "the %s %s requires a list of sub-tests, but none or a single sub-test is specified", n.name, kind)
	default:
		return true
	}
	return false
}

// strayTests complains of tests where none belong: often they are what they seem
// to be for want of one octet.
func (c *checker) strayTests(n *call) {
	kind, first := n.spec.kind(), n.node.tests[0].name
	isTag := slices.ContainsFunc(n.spec.allTags(), func(t tagSpec) bool { return strings.EqualFold(t.name, first) && c.isRequired(t.ext) })
	s := c.engine.table[key(true, first)]
	switch {
	case n.list:
		c.errorf(n.pos, "the %s %s accepts no sub-tests, but tests are specified", n.name, kind)
	case isTag:
		c.errorf(n.pos, "missing colon ':' before '%s' tag in the %s %s", first, n.name, kind)
	case !n.spec.isTest && (s == nil || !c.isRequired(s.ext)):
		c.errorf(n.pos, "missing semicolon ';' after the %s %s", n.name, kind)
	default:
		c.errorf(n.pos, "the %s %s accepts no sub-tests, but tests are specified", n.name, kind)
	}
}

// shapeOfBlock holds what stands behind the tests against the spec.
func (c *checker) shapeOfBlock(n *call) bool {
	s, kind := n.spec, n.spec.kind()
	switch {
	case s.block && !n.node.has:
		c.errorf(n.pos, "the %s %s requires a command block, but it is missing", n.name, kind)
	case !s.block && n.node.has:
		c.errorf(n.pos, "the %s %s does not accept a command block, but one is specified anyway", n.name, kind)
	default:
		return true
	}
	return false
}

// subtests builds the tests of a call.
func (c *checker) subtests(n *call) bool {
	ok := true
	for _, t := range n.node.tests {
		built, isTest := c.node(t, true, nil).(test)
		if !isTest {
			ok = false
			continue
		}
		n.subtests = append(n.subtests, built)
	}
	return ok
}

// texts makes a string list argument ready.
func (c *checker) texts(a arg) texts {
	out := make(texts, len(a.strs))
	for i, s := range a.strs {
		out[i] = c.text(s)
	}
	return out
}

// string makes a string argument ready.
func (c *checker) string(a arg) text { return c.text(a.strs[0]) }
