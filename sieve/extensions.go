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
	"imapsieve", "vnd.dovecot.imapsieve", pipeExtension, filterExtension, executeExtension,
	"comparator-i;octet", "comparator-i;ascii-casemap", "comparator-i;ascii-numeric", "comparator-i;unicode-casemap",
}

// testsuiteExtension is known to test scripts alone.
const testsuiteExtension = "vnd.dovecot.testsuite"

// Place is where the scripts of an Engine run.
type Place int

// The places.
const (
	AtDelivery Place = iota // not at an event of IMAP
	InIMAP                  // at an event of IMAP (RFC 6785): nobody is answered or refused
	Anywhere                // they are checked for either, and run where they are told
)

// foreign are the extensions that have no meaning in a place: RFC 6785 section
// 3.11.
func (p Place) foreign() []string {
	switch p {
	case AtDelivery:
		return []string{"imapsieve", "vnd.dovecot.imapsieve"}
	case InIMAP:
		return []string{"reject", "ereject", "vacation", "vacation-seconds"}
	}
	return nil
}

// Extensions are the names that a user's script of this engine may require, in
// the order in which ManageSieve lists them (RFC 5804 section 1.7).
func (e *Engine) Extensions() []string {
	all := slices.Clone(extensions)
	return slices.DeleteFunc(all, func(x string) bool { return !e.offers(x, false) })
}

// offers reports that a script may require an extension; trusted is one of the
// administrator.
func (e *Engine) offers(ext string, trusted bool) bool {
	return e.known[ext] && (trusted || !e.reserved[ext])
}

// knownExtensions is the set of extensions that are not switched off.
func knownExtensions(c Config) map[string]bool {
	known := map[string]bool{}
	for _, x := range extensions {
		known[x] = true
	}
	for _, x := range programExtensions() {
		known[x] = slices.Contains(c.Programs, x)
	}
	for _, x := range c.Place.foreign() {
		known[x] = false
	}
	maps.DeleteFunc(known, func(x string, _ bool) bool {
		return slices.ContainsFunc(c.Off, func(o string) bool { return strings.EqualFold(o, x) })
	})
	return known
}
