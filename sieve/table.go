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
	octets   bool   // compares octets unless a comparator says otherwise
	tags     []tagSpec
	params   []param
	optional bool  // the first param may be left out
	lastMay  bool  // the last param may be left out
	tests    arity // tests it holds
	loop     bool  // the block may be left by break
	block    bool  // a block follows
	loose    bool  // tags may stand behind positional arguments
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
	zoneTags = []tagSpec{
		{name: "zone", kind: kindString, group: "zone"},
		{name: "originalzone", group: "zone"},
	}
	indexOnly  = []tagSpec{{name: "index", kind: kindNumber}, {name: "last"}} // editheader has its own
	flagParams = []param{{"variable name", kindString}, {"list of flags", kindList}}
	storeTags  = []tagSpec{
		{name: "flags", ext: "imap4flags", kind: kindList},
	}
	placeTags = concat(storeTags, []tagSpec{
		{name: "create", ext: "mailbox"},
		{name: "specialuse", ext: "special-use", kind: kindString},
		{name: "mailboxid", ext: "mailboxid", kind: kindString},
	})
	programParams = []param{{"program name", kindString}, {"arguments", kindList}}
	executeTags   = []tagSpec{
		{name: "input", kind: kindString, group: "input"}, {name: "pipe", group: "input"}, {name: "output", kind: kindString},
	}
	fccTags = concat(placeTags, []tagSpec{{name: "fcc", ext: "fcc", kind: kindString}})
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
		{name: "foreverypart", ext: "foreverypart", tags: []tagSpec{{name: "name", kind: kindString}}, block: true, loop: true, build: buildForeverypart},
		{name: "break", ext: "foreverypart", tags: []tagSpec{{name: "name", kind: kindString}}, build: buildBreak},
		{name: "extracttext", ext: "extracttext", tags: concat([]tagSpec{{name: "first", kind: kindNumber}}, modifierTags()),
			params: []param{{"variable name", kindString}}, build: buildExtracttext},
		{name: "debug_log", ext: "vnd.dovecot.debug", params: []param{{"message", kindString}}, build: buildDebugLog},
		{name: "set", ext: "variables", tags: modifierTags(), params: []param{{"name", kindString}, {"value", kindString}}, build: buildSet},
		{name: "include", ext: "include", tags: []tagSpec{
			{name: "personal", group: "location"}, {name: "global", group: "location"}, {name: "once"}, {name: "optional"},
		}, params: []param{{"script name", kindString}}, build: buildInclude},
		{name: "return", ext: "include", build: buildReturn},
		{name: "global", ext: "include", params: []param{{"variables", kindList}}, build: buildGlobal},
		{name: "import", ext: "include", params: []param{{"variables", kindList}}, build: buildGlobal},
		{name: "export", ext: "include", params: []param{{"variables", kindList}}, build: buildGlobal},
		{name: "error", ext: "ihave", params: []param{{"reason", kindString}}, build: buildError},
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
		{name: "exists", isTest: true, tags: mimeTags(), params: []param{{"header names", kindList}}, build: buildExists},
		{name: "size", isTest: true, tags: []tagSpec{{name: "over", group: "limit"}, {name: "under", group: "limit"}},
			params: []param{{"limit", kindNumber}}, build: buildSize},
		{name: "header", isTest: true, match: true, tags: concat(indexTags, mimeTags()),
			params: []param{{"header names", kindList}, keyList}, build: buildHeader},
		{name: "address", isTest: true, match: true, address: true, tags: concat(indexTags, mimeTags()),
			params: []param{headerList, keyList}, build: buildAddress},
		{name: "envelope", isTest: true, ext: "envelope", match: true, address: true,
			params: []param{{"envelope part", kindList}, keyList}, build: buildEnvelope},
		{name: "string", isTest: true, ext: "variables", match: true, octets: true, params: []param{{"source", kindList}, keyList}, build: buildString},
		{name: "hasflag", isTest: true, ext: "imap4flags", match: true, optional: true,
			params: []param{{"variables", kindList}, keyList}, build: buildHasflag},
		{name: "ihave", isTest: true, ext: "ihave", params: []param{{"capabilities", kindList}}, build: buildIhave},
		{name: "environment", isTest: true, ext: "environment", match: true,
			params: []param{{"name", kindString}, keyList}, build: buildEnvironment},
		{name: "date", isTest: true, ext: "date", match: true, tags: concat(indexTags, zoneTags),
			params: []param{{"header name", kindString}, {"date part", kindString}, keyList}, build: buildDate},
		{name: "currentdate", isTest: true, ext: "date", match: true, tags: zoneTags[:1],
			params: []param{{"date part", kindString}, keyList}, build: buildDate},
		{name: "body", isTest: true, ext: "body", match: true, tags: []tagSpec{
			{name: "raw", group: "transform"}, {name: "text", group: "transform"}, {name: "content", group: "transform", kind: kindList},
		}, params: []param{keyList}, build: buildBody},
		{name: "spamtest", isTest: true, ext: "spamtest|spamtestplus", match: true,
			tags: []tagSpec{{name: "percent", ext: "spamtestplus"}}, params: []param{{"value", kindString}}, build: buildSpamtest},
		{name: "virustest", isTest: true, ext: "virustest", match: true, params: []param{{"value", kindString}}, build: buildSpamtest},
		{name: "valid_notify_method", isTest: true, ext: "enotify", params: []param{{"notification URIs", kindList}}, build: buildValidNotifyMethod},
		{name: "notify_method_capability", isTest: true, ext: "enotify", match: true,
			params: []param{{"notification URI", kindString}, {"notification capability", kindString}, keyList}, build: buildNotifyCapability},
		{name: "metadata", isTest: true, ext: "mboxmetadata", match: true,
			params: []param{{"mailbox", kindString}, {"annotation name", kindString}, keyList}, build: buildMetadata},
		{name: "metadataexists", isTest: true, ext: "mboxmetadata",
			params: []param{{"mailbox", kindString}, {"annotation names", kindList}}, build: buildMetadataexists},
		{name: "servermetadata", isTest: true, ext: "servermetadata", match: true,
			params: []param{{"annotation name", kindString}, keyList}, build: buildMetadata},
		{name: "servermetadataexists", isTest: true, ext: "servermetadata", params: []param{{"annotation names", kindList}}, build: buildMetadataexists},
		{name: "specialuse_exists", isTest: true, ext: "special-use", optional: true,
			params: []param{{"mailbox", kindString}, {"special-use flags", kindList}}, build: buildSpecialuse},
		{name: "mailboxexists", isTest: true, ext: "mailbox", params: []param{{"mailbox names", kindList}}, build: buildMailboxexists},
		{name: "mailboxidexists", isTest: true, ext: "mailboxid", params: []param{{"mailbox identifiers", kindList}}, build: buildMailboxidexists},
		{name: "valid_ext_list", isTest: true, ext: "extlists", params: []param{{"list names", kindList}}, build: buildValidExtList},
		{name: "duplicate", isTest: true, ext: "duplicate|vnd.dovecot.duplicate", tags: []tagSpec{
			{name: "header", kind: kindString, group: "id"}, {name: "uniqueid", kind: kindString, group: "id"},
			{name: "handle", kind: kindString}, {name: "seconds", kind: kindNumber}, {name: "last"},
		}, build: buildDuplicate},
		{name: "filter", isTest: true, ext: filterExtension, params: programParams, lastMay: true, build: buildFilter},
		{name: "execute", isTest: true, ext: executeExtension, tags: executeTags, params: programParams, lastMay: true, build: buildExecute},
	}
}

func actionSpecs() []spec {
	return []spec{
		{name: "keep", tags: storeTags, build: buildKeep},
		{name: "discard", build: buildDiscard},
		{name: "addheader", ext: "editheader", tags: []tagSpec{{name: "last"}},
			params: []param{{"field name", kindString}, {"value", kindString}}, build: buildAddheader},
		{name: "deleteheader", ext: "editheader", match: true, tags: indexOnly, optional: true,
			params: []param{{"field name", kindString}, {"value patterns", kindList}}, build: buildDeleteheader},
		{name: "notify", ext: "enotify|notify", optional: true, tags: concat(fccTags, oldNotifyTags(), []tagSpec{
			{name: "from", ext: "enotify", kind: kindString}, {name: "importance", ext: "enotify", kind: kindString},
			{name: "options", kind: kindList}, {name: "message", kind: kindString},
		}), params: []param{{"method", kindString}}, build: buildNotify},
		{name: "denotify", ext: "notify", match: true, optional: true, loose: true, tags: oldNotifyTags()[2:],
			params: []param{{"notification id", kindString}}, build: buildDenotify},
		{name: "report", ext: "vnd.dovecot.report", tags: []tagSpec{{name: "headers_only"}},
			params: []param{{"feedback type", kindString}, {"message", kindString}, {"address", kindString}}, build: buildReport},
		{name: "replace", ext: "replace", tags: []tagSpec{{name: "mime"}, {name: "subject", kind: kindString}, {name: "from", kind: kindString}},
			params: []param{{"replacement", kindString}}, build: buildReplace},
		{name: "enclose", ext: "enclose", tags: []tagSpec{{name: "subject", kind: kindString}, {name: "headers", kind: kindList}},
			params: []param{{"text", kindString}}, build: buildEnclose},
		{name: "reject", ext: "reject", params: []param{{"reason", kindString}}, build: buildReject},
		{name: "ereject", ext: "ereject", params: []param{{"reason", kindString}}, build: buildReject},
		{name: "setflag", ext: "imap4flags|imapflags", optional: true, params: flagParams, build: buildFlagCommand},
		{name: "addflag", ext: "imap4flags|imapflags", optional: true, params: flagParams, build: buildFlagCommand},
		{name: "removeflag", ext: "imap4flags|imapflags", optional: true, params: flagParams, build: buildFlagCommand},
		{name: "mark", ext: "imapflags", build: buildMark},
		{name: "unmark", ext: "imapflags", build: buildMark},
		{name: "vacation", ext: "vacation", tags: concat(fccTags, []tagSpec{
			{name: "days", kind: kindNumber, group: "period"},
			{name: "seconds", ext: "vacation-seconds", kind: kindNumber, group: "period"},
			{name: "subject", kind: kindString}, {name: "from", kind: kindString}, {name: "addresses", kind: kindList},
			{name: "mime"}, {name: "handle", kind: kindString},
		}), params: []param{{"reason", kindString}}, build: buildVacation},
		{name: "redirect", tags: []tagSpec{{name: "copy", ext: "copy"}, {name: "list", ext: "extlists"}},
			params: []param{{"address", kindString}}, build: buildRedirect},
		{name: "pipe", ext: pipeExtension, tags: []tagSpec{{name: "copy", ext: "copy"}, {name: "try"}}, params: programParams, lastMay: true, build: buildPipe},
		{name: "filter", ext: filterExtension, params: programParams, lastMay: true, build: buildFilter},
		{name: "execute", ext: executeExtension, tags: executeTags, params: programParams, lastMay: true, build: buildExecute},
		{name: "fileinto", ext: "fileinto", tags: concat(placeTags, []tagSpec{{name: "copy", ext: "copy"}}), params: []param{{"folder", kindString}}, build: buildFileinto},
	}
}
