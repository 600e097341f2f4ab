// Package wire reads IMAP commands and prints IMAP responses (RFC 3501 section
// 9, RFC 7888 for non-synchronising literals). It knows tokens, literals and
// limits; what a command means is the business of package imap.
//
// The Decoder separates framing from grammar, and that is what keeps message
// text from ever being run as a command. A command is a line, or several lines
// with literals between them; a line that ends in {n} or {n+} announces a
// literal whatever stands before it, because nothing else in the grammar can
// end a line so. Whether a command is understood or refused, Finish takes
// exactly its octets off the connection: octets of a refused {n+} are
// discarded, those of a refused {n} never come.
//
// Both the Decoder and the Encoder remember their first error and do nothing
// after it, so parsing and printing read like the grammar.
package wire
