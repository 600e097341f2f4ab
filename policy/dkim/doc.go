// Package dkim verifies and makes DKIM signatures (RFC 6376, with the
// algorithms and key sizes of RFC 8301 and RFC 8463). It is also the
// cryptography under ARC.
//
// Everything that a message or a key record says comes from strangers: work is
// linear in the size of the message, a few signatures are looked at, and keys
// of absurd size are refused before they cost anything. The body is read once,
// whatever the number of signatures.
//
// A fault of the DNS is TempError, never Fail.
package dkim
