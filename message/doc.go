// Package message knows RFC 5322 and MIME content: the part tree with the
// facts that IMAP's ENVELOPE and BODYSTRUCTURE show, header fields and their
// editing, and charsets. It reads each octet once and keeps offsets, never
// copies of bodies.
//
// Two ways to count run through it. Stored octets are the file's: a Maildir
// holds lines that end in LF, or in CRLF, or both. Wire octets are what IMAP
// and POP3 clients see and count: every line ends in CRLF. Offsets (Span) are
// stored octets; sizes are wire octets, and named so.
//
// Content comes from strangers: any octets parse to something, work is linear
// in the size, and depth, part count and header size are limited.
package message
