// Package imap is the IMAP4rev1 and IMAP4rev2 server engine (RFC 3501, RFC 9051, and the extensions in
// docs/rfc.md). It knows the protocol; mail comes from package storage, logins
// from package auth.
//
// How a session works. One goroutine reads a command, parses it to a value
// (a request), and runs it; one more lives for the length of an IDLE. The
// command table in command.go holds what is true of a command besides its
// work: the states it may come in and whether EXPUNGE must wait.
//
// What a client knows. A session holds the View that its client was told of.
// Message numbers are positions in that View and in nothing else, so they never
// shift under a command. At the end of a command the session takes the
// mailbox's present View, prints the difference and holds the new one; during
// FETCH, STORE and SEARCH by message number messages that are gone stay in the
// held View until a later command may report them (RFC 3501 section 7.4.1).
//
// What a client may do to us. Every wait has a deadline, every number a limit
// (Limits), and a command that is refused is read past exactly (package wire).
// A fault of the store is NO [SERVERBUG], of a full or read-only disk NO
// [UNAVAILABLE], and a line in the log; the session goes on.
package imap
