package maildir

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// emailID names the content of a message (RFC 8474 section 5.1). It comes from
// what Dovecot calls the message's GUID: the `G` field of its line in the
// uidlist, or else its base name, which MOVE and, where it can, COPY keep. Base
// names hold octets that an objectid may not, so it is a hash.
func (f file) emailID() string {
	guid := f.base
	for field := range strings.SplitSeq(f.ext, " ") {
		if g, ok := strings.CutPrefix(field, "G"); ok && g != "" {
			guid = g
		}
	}
	sum := sha256.Sum256([]byte(guid))
	return "M" + hex.EncodeToString(sum[:16])
}
