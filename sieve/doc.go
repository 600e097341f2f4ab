// Package sieve is the mail filtering language of RFC 5228 with its extensions:
// it compiles a script once and runs it over any number of messages. It decides
// and does not act: a run returns Actions, and delivery carries them out.
//
// Read in this order: lexer.go and parser.go turn text into nodes; check.go
// holds nodes against the table of commands (table.go) and builds a Script of
// commands and tests, each in the file of its name; machine.go runs them.
//
// Scripts come from users. Each is bounded: size and nesting when it is
// compiled, instructions, memory, actions and variables when it runs (see
// Limits). Whatever fails, the answer is an error with its line, and the rule
// of RFC 5228 section 2.10.6: the message is kept.
package sieve
