package imap

import (
	"slices"
	"strings"

	"gomaild/storage"
)

// systemFlags are the flags of RFC 3501 section 2.3.2, in the order they are
// printed.
var systemFlags = []struct {
	name string
	flag storage.SystemFlag
}{
	{`\Answered`, storage.Answered},
	{`\Flagged`, storage.Flagged},
	{`\Deleted`, storage.Deleted},
	{`\Seen`, storage.Seen},
	{`\Draft`, storage.Drafted},
}

// flagSet is the flags of a STORE or APPEND.
type flagSet struct {
	system   storage.SystemFlag
	keywords []string
}

// flagSetOf sorts the names a client sent. \Recent cannot be changed by a
// client; other names with a backslash are not flags (RFC 3501 section 9,
// flag-extension is for the future).
func flagSetOf(g *grammar, names []string) flagSet {
	var set flagSet
	for _, name := range names {
		switch flag, isSystem := systemFlag(name); {
		case isSystem:
			set.system |= flag
		case strings.HasPrefix(name, `\`):
			g.Fail("%s is not a flag that can be set", name)
		case !slices.Contains(set.keywords, name):
			set.keywords = append(set.keywords, name)
		}
	}
	return set
}

func systemFlag(name string) (storage.SystemFlag, bool) {
	for _, f := range systemFlags {
		if strings.EqualFold(f.name, name) {
			return f.flag, true
		}
	}
	return 0, false
}

// keywordBit is the position of a keyword in v, -1 if it has none. Keywords are
// the same in any case of letters.
func keywordBit(v *storage.View, name string) int {
	return slices.IndexFunc(v.Keywords, func(k string) bool { return k != "" && strings.EqualFold(k, name) })
}

// keywordBits is the set of those of names that v knows.
func keywordBits(v *storage.View, names []string) storage.KeywordSet {
	var set storage.KeywordSet
	for _, name := range names {
		if i := keywordBit(v, name); i >= 0 {
			set = set.With(i)
		}
	}
	return set
}

// printFlags prints `FLAGS (...)` of a message.
func (s *session) printFlags(v *storage.View, m storage.Message) {
	s.enc.Raw("FLAGS (")
	first := true
	item := func(name string) {
		if !first {
			s.enc.Byte(' ')
		}
		first = false
		s.enc.Raw(name)
	}
	for _, f := range systemFlags {
		if m.Flags&f.flag != 0 {
			item(f.name)
		}
	}
	if _, recent := s.box.recent[m.UID]; recent {
		item(`\Recent`)
	}
	for i := range m.Keywords.All() {
		if i < len(v.Keywords) && v.Keywords[i] != "" {
			item(v.Keywords[i])
		}
	}
	s.enc.Byte(')')
}

// printKeywords tells which flags there are, if that changed.
func (s *session) printKeywords(old, now *storage.View) {
	if old != nil && slices.Equal(old.Keywords, now.Keywords) && old.MoreKeywords == now.MoreKeywords {
		return
	}
	names := make([]string, 0, len(systemFlags)+len(now.Keywords)+1)
	for _, f := range systemFlags {
		names = append(names, f.name)
	}
	for _, k := range now.Keywords {
		if k != "" {
			names = append(names, k)
		}
	}
	s.enc.Raw("* FLAGS (" + strings.Join(names, " ") + ")\r\n")
	s.printPermanentFlags(now)
}

// printPermanentFlags tells which flags can be changed (RFC 3501 section 7.1,
// RFC 4314 section 5.1).
func (s *session) printPermanentFlags(v *storage.View) {
	if s.box.readOnly {
		s.printOK("PERMANENTFLAGS ()", "No flags can be changed here")
		return
	}
	var names []string
	for _, f := range systemFlags {
		if s.box.permanent(f.flag) {
			names = append(names, f.name)
		}
	}
	if s.box.rights.Has(storage.RightWrite) {
		names = append(names, slices.DeleteFunc(slices.Clone(v.Keywords), func(k string) bool { return k == "" })...)
		if v.MoreKeywords {
			names = append(names, `\*`)
		}
	}
	s.printOK("PERMANENTFLAGS ("+strings.Join(names, " ")+")", "Flags that can be changed")
}
