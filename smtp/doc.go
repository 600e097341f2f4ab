// Package smtp is the server engine for SMTP (RFC 5321), submission
// (RFC 6409) and LMTP (RFC 2033). It knows wires: lines, states, limits,
// replies. It takes no responsibility for mail; a Receiver does.
package smtp
