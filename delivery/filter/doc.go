// Package filter runs the Sieve scripts of accounts in local delivery: it
// finds and keeps the compiled scripts, asks package sieve what to do, and
// carries out what is not a store: refusals, redirects, answers, and the memory
// of whom was answered.
//
// Where scripts lie is Dovecot's layout: `.dovecot.sieve` in the account's
// directory, mostly a link into `.sieve/`, where includes are found too. A
// script that fails never costs mail: the message is kept, and the error stands
// in `.dovecot.sieve.log`, which the user can read.
//
// The memory of vacation and duplicate is `.gomaild.sieve-seen` in the account's
// directory, on the mount: it survives a failover. It is written before an
// answer is sent, so that a crash costs an answer and never sends it twice.
package filter
