// Package smtp is the server engine for SMTP (RFC 5321), submission
// (RFC 6409) and LMTP (RFC 2033). It knows wires: lines, states, limits,
// replies. It takes no responsibility for mail; a Receiver does.
//
// commands.go holds the table of verbs: who may say what, when. Each command
// has a file that parses its argument to a value and then acts on it. wire.go
// is the connection: buffers, deadlines, line ends. content.go and bdat.go are
// what a Receiver reads.
//
// Rules that keep one message from becoming two:
//
//   - A command ends in CRLF. A bare LF is answered 500 at once, and what stands
//     between it and the next CRLF is thrown away, never parsed.
//   - DATA ends in CRLF "." CRLF and in nothing else. Content with a bare CR or
//     LF is refused, after its true end has been read.
//   - After a timeout or a lost connection inside content nothing more is read:
//     the connection ends.
//   - What was sent ahead of a reply that had to be waited for (before the
//     banner, after EHLO, DATA, AUTH or STARTTLS) ends the connection.
//
// NUL is refused in commands and passed in content: RFC 5322 section 4 wants
// receivers to take it (obs-body), and it ends nothing here.
package smtp
