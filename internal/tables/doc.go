// Package tables reads Postfix's lookup tables from their text: what `postmap`
// makes hash: tables from, regexp: and pcre: tables, and static: and inline:
// ones.
//
// A List is what main.cf has as "hash:/a, regexp:/b". A key is looked up as a
// whole in every table, in order; its parts (a domain, "@domain") are then
// looked up in the tables of fixed names only, since a pattern says itself what
// it fits (transport(5), canonical(5)). Keys are folded (ASCII), patterns see
// the key as it was written.
//
// Text of hash: tables (postmap(1)): one "key whitespace value" a line; a line
// that begins with whitespace goes on with the one before; empty lines and
// those whose first other character is # do not count, and do not end a line
// either. Whitespace in a key stands in the double quotes of a local part, which are
// of the key ("odd name"@example.org). The first of two equal keys counts.
//
// Text of regexp: and pcre: tables (regexp_table(5), pcre_table(5)): lines
// "/pattern/flags value", "!/pattern/flags value", and "if /pattern/flags" or
// "if !/pattern/flags" up to "endif". $1, ${1} and $(1) in a value stand for a
// group, $$ for a dollar sign. Letters fit in either case unless the flag i
// turns that off. Patterns are Go's (RE2 syntax, linear time), leftmost-longest
// in regexp:; look-around and back-references are refused with the line that
// has them.
//
// A file is looked at again when somebody asks and a second has passed, and read
// when it has changed and its change is a second old. One that cannot be read is
// told to the log once, and what it said before goes on to count.
package tables
