package sieve

import (
	"maps"
	"slices"
	"strings"
)

// extensions are the names that require takes, in the order of ManageSieve's
// SIEVE capability.
var extensions = []string{
	"fileinto", "envelope", "encoded-character", "copy", "index", "relational", "subaddress",
	"variables", "imap4flags", "imapflags", "include", "ihave", "environment", "vnd.dovecot.environment", "date", "body", "mailbox",
	"regex", "reject", "ereject", "duplicate", "vnd.dovecot.duplicate", "vacation", "vacation-seconds",
	"editheader", "mime", "foreverypart", "extracttext", "replace", "enclose", "enotify", "notify", "spamtest", "spamtestplus", "virustest",
	"mboxmetadata", "servermetadata", "special-use", "mailboxid", "fcc", "extlists", "vnd.dovecot.report", "vnd.dovecot.debug",
	"comparator-i;octet", "comparator-i;ascii-casemap", "comparator-i;ascii-numeric", "comparator-i;unicode-casemap",
}

// testsuiteExtension is known to test scripts alone.
const testsuiteExtension = "vnd.dovecot.testsuite"

// Extensions are the names that a script of this engine may require, in the
// order in which ManageSieve lists them (RFC 5804 section 1.7).
func (e *Engine) Extensions() []string {
	all := slices.Clone(extensions)
	return slices.DeleteFunc(all, func(x string) bool { return !e.known[x] })
}

// knownExtensions is the set of extensions that are not switched off.
func knownExtensions(off []string) map[string]bool {
	known := map[string]bool{}
	for _, x := range extensions {
		known[x] = true
	}
	maps.DeleteFunc(known, func(x string, _ bool) bool {
		return slices.ContainsFunc(off, func(o string) bool { return strings.EqualFold(o, x) })
	})
	return known
}
