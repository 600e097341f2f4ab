// Package reply holds what both ends of an SMTP or LMTP connection share: the
// writing and reading of replies (RFC 5321 section 4.2) and the transparency of
// content (section 4.5.2, "dot-stuffing").
//
// Rules: what is written can never break out of its line, whatever text it was
// made of; what is read is bounded, whatever the peer sends; content ends at
// CRLF "." CRLF and at nothing that merely looks like it.
package reply
