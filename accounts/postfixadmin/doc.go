// Package postfixadmin reads accounts out of the tables of PostfixAdmin, on a
// MySQL or MariaDB server (directly or through ProxySQL) or in an SQLite file,
// and makes the few changes that `gomaild account` needs.
//
// Rules of the package:
//
//   - Every look-up is one statement for one row with bound parameters, the
//     same text on both engines. Nothing sets a session variable, so ProxySQL
//     keeps multiplexing.
//   - The database proposes, Go decides: MySQL's collations find alice in
//     "ALICE@..." and in "alice@... ", so the name in the row is compared here,
//     with only ASCII letters folded, before the row counts. A local part that
//     is not ASCII is no account and is not asked for: its octets would be
//     converted on the way and make errors out of wrong names.
//   - No row is accounts.ErrNotFound. Everything else (a lost connection, a
//     Galera node that left its cluster, our own password refused, a missing
//     table, a timeout) is an error, and then mail waits.
//   - Answers are kept for a few seconds at most, and only positive ones: an
//     account that was just made works at once. Passwords are never kept.
//   - The schema is what the columns say, from 2.3.7 to today: a column or
//     table that an older release lacks switches off what needs it.
//   - Only local_part, the addresses, quota, maildir and the flags are read.
//     domain.aliases, .mailboxes, .maxquota and .quota are limits for
//     PostfixAdmin's own forms; mail does not look at them.
package postfixadmin
