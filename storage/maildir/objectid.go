package maildir

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// emailID names the content of a message (RFC 8474 section 5.1). It comes from
// what Dovecot calls the message's GUID: the `G` field of its line in the
// uidlist, or else its base name, which MOVE and COPY keep where they can; where
// the copy has another name they write the field. Base names hold octets that an
// objectid may not, so it is a hash.
func (f file) emailID() string {
	sum := sha256.Sum256([]byte(f.guid()))
	return "M" + hex.EncodeToString(sum[:16])
}

const guidField = "G"

func (f file) guid() string {
	guid := f.base
	for field := range strings.SplitSeq(f.ext, " ") {
		if g, ok := strings.CutPrefix(field, guidField); ok && g != "" {
			guid = g
		}
	}
	return guid
}

// guidExt is the field for a copy of f that is called base, "" if it needs none or
// its line could not hold it.
func (f file) guidExt(base string) string {
	guid := f.guid()
	if guid == base || strings.ContainsFunc(guid, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return ""
	}
	return guidField + guid
}
