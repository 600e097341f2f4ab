// Package managesieve is the ManageSieve engine (RFC 5804): a command table over
// the scripts of an account (package sieve/scripts). It knows wires; it
// compiles nothing itself and knows no files.
//
// A script with errors is never kept; the answer to PUTSCRIPT and CHECKSCRIPT
// holds them with their lines, as editors show them. Passwords are taken on TLS
// only, but from trusted networks.
package managesieve
