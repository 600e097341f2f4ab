package storage

import (
	"slices"
	"strings"
)

// SpecialUseEntry is the annotation of a mailbox that holds the special uses
// which a client gave it (RFC 6154 sections 3 and 4). It stays with the mailbox,
// whoever renames it.
const SpecialUseEntry = "/private/specialuse"

// givableUses can be given to a mailbox. \All and \Flagged are for collections
// that a server makes up.
var givableUses = []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`}

// GivableUse is the one spelling of a special use that a mailbox can be given,
// false for any other word.
func GivableUse(word string) (use string, ok bool) {
	i := slices.IndexFunc(givableUses, func(u string) bool { return strings.EqualFold(u, word) })
	if i < 0 {
		return "", false
	}
	return givableUses[i], true
}

// HasUse reports whether the mailbox has the special use, in any spelling.
func (i MailboxInfo) HasUse(use string) bool {
	return slices.ContainsFunc(strings.Fields(i.SpecialUse), func(u string) bool { return strings.EqualFold(u, use) })
}

// GiveUses adds to the special uses of the mailbox those of the annotation's
// value; words that are none are passed over.
func (i *MailboxInfo) GiveUses(value string) {
	for word := range strings.FieldsSeq(value) {
		if use, ok := GivableUse(word); ok && !i.HasUse(use) {
			i.SpecialUse = strings.TrimPrefix(i.SpecialUse+" "+use, " ")
		}
	}
}
