package sieve

import "strings"

// paramKind is what a positional argument or the value of a tag may be.
type paramKind int

const (
	kindNone paramKind = iota
	kindNumber
	kindString
	kindList // a string or a string list
)

func (k paramKind) String() string {
	return [...]string{"no", "number", "string", "string list"}[k]
}

func (k paramKind) takes(a argKind) bool {
	switch k {
	case kindNumber:
		return a == argNumber
	case kindString:
		return a == argString
	case kindList:
		return a == argString || a == argList
	}
	return false
}

// param is a positional argument.
type param struct {
	name string
	kind paramKind
}

// tagSpec is a tagged argument. Of one group only one may stand.
type tagSpec struct {
	name  string
	ext   string
	kind  paramKind
	group string
}

type arity int

const (
	arityNone arity = iota
	arityOne
	arityMany
)

// spec is all that is true of a command or test besides its work.
type spec struct {
	name     string
	isTest   bool
	ext      string // extension that brings it; "a|b": either
	match    bool   // takes comparator and match type
	address  bool   // takes an address part
	tags     []tagSpec
	params   []param
	optional bool  // the first param may be left out
	tests    arity // tests it holds
	block    bool  // a block follows
	build    func(c *checker, n *call) any
}

func (s *spec) kind() string {
	if s.isTest {
		return "test"
	}
	return "command"
}

// Tags that several commands share.
var (
	matchTags = []tagSpec{
		{name: "is", group: "match"},
		{name: "contains", group: "match"},
		{name: "matches", group: "match"},
		{name: "regex", ext: "regex", group: "match"},
		{name: "value", ext: "relational", kind: kindString, group: "match"},
		{name: "count", ext: "relational", kind: kindString, group: "match"},
		{name: "list", ext: "extlists", group: "match"},
		{name: "comparator", kind: kindString, group: "comparator"},
	}
	addressTags = []tagSpec{
		{name: "all", group: "address part"},
		{name: "localpart", group: "address part"},
		{name: "domain", group: "address part"},
		{name: "user", ext: "subaddress", group: "address part"},
		{name: "detail", ext: "subaddress", group: "address part"},
	}
	indexTags = []tagSpec{
		{name: "index", ext: "index", kind: kindNumber},
		{name: "last", ext: "index"},
	}
	storeTags = []tagSpec{
		{name: "flags", ext: "imap4flags", kind: kindList},
	}
)

func (s *spec) allTags() []tagSpec {
	all := s.tags
	if s.match {
		all = append(all[:len(all):len(all)], matchTags...)
	}
	if s.address {
		all = append(all[:len(all):len(all)], addressTags...)
	}
	return all
}

func concat(groups ...[]tagSpec) []tagSpec {
	var all []tagSpec
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// commandTable lists every command and test, by family.
func commandTable() map[string]*spec {
	table := map[string]*spec{}
	families := [][]spec{controlSpecs(), testSpecs(), actionSpecs(), testsuiteSpecs()}
	for _, f := range families {
		for _, s := range f {
			table[key(s.isTest, s.name)] = &s
		}
	}
	return table
}

func key(isTest bool, name string) string {
	if isTest {
		return "?" + strings.ToLower(name)
	}
	return "!" + strings.ToLower(name)
}

func controlSpecs() []spec {
	return []spec{
		{name: "require", params: []param{{"capabilities", kindList}}, build: buildRequire},
		{name: "if", tests: arityOne, block: true, build: buildIf},
		{name: "elsif", tests: arityOne, block: true, build: buildIf},
		{name: "else", block: true, build: buildIf},
		{name: "stop", build: buildStop},
	}
}

func testSpecs() []spec {
	headerList := param{"header list", kindList}
	keyList := param{"key list", kindList}
	return []spec{
		{name: "true", isTest: true, build: buildTrue},
		{name: "false", isTest: true, build: buildFalse},
		{name: "not", isTest: true, tests: arityOne, build: buildNot},
		{name: "allof", isTest: true, tests: arityMany, build: buildAllof},
		{name: "anyof", isTest: true, tests: arityMany, build: buildAnyof},
		{name: "exists", isTest: true, params: []param{{"header names", kindList}}, build: buildExists},
		{name: "size", isTest: true, tags: []tagSpec{{name: "over", group: "limit"}, {name: "under", group: "limit"}},
			params: []param{{"limit", kindNumber}}, build: buildSize},
		{name: "header", isTest: true, match: true, tags: indexTags,
			params: []param{{"header names", kindList}, keyList}, build: buildHeader},
		{name: "address", isTest: true, match: true, address: true, tags: indexTags,
			params: []param{headerList, keyList}, build: buildAddress},
		{name: "envelope", isTest: true, ext: "envelope", match: true, address: true,
			params: []param{{"envelope part", kindList}, keyList}, build: buildEnvelope},
	}
}

func actionSpecs() []spec {
	return []spec{
		{name: "keep", tags: storeTags, build: buildKeep},
		{name: "discard", build: buildDiscard},
		{name: "redirect", tags: []tagSpec{{name: "copy", ext: "copy"}, {name: "list", ext: "extlists"}},
			params: []param{{"address", kindString}}, build: buildRedirect},
		{name: "fileinto", ext: "fileinto", tags: concat(storeTags, []tagSpec{
			{name: "copy", ext: "copy"},
			{name: "create", ext: "mailbox"},
			{name: "specialuse", ext: "special-use", kind: kindString},
			{name: "mailboxid", ext: "mailboxid", kind: kindString},
		}), params: []param{{"folder", kindString}}, build: buildFileinto},
	}
}
