// Package e2e drives the real gomaild binary with real programs: swaks, curl,
// mbsync, Python's smtplib and imaplib, Dovecot. It holds only tests and
// benchmarks; what it needs is installed by `make test`.
package e2e
