// Package thread puts messages into threads: the algorithms of IMAP's THREAD
// (RFC 5256, and REFS of draft-ietf-morg-inthread), and the base subject that
// SORT and THREAD compare. It does no I/O.
//
// Message-IDs come from strangers: references may be cyclic, missing, endless,
// or of other conversations. So of a References field the last MaxReferences
// count, no thread is deeper than a thousand messages (what lies deeper begins
// a thread of its own), and the work is in proportion to messages and
// references.
package thread
