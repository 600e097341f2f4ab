// Package snapshot lets a server live without its account database for a while:
// a copy of every active row, on disk, from which known recipients are accepted
// and known logins verified when the database cannot be asked.
//
// What it never does is to say no. Who is not in the copy may have been made a
// moment ago: the answer stays "could not be asked", and mail waits. The one
// exception is an alias: that an address has no row of its own is believed,
// because most mailboxes have none, and the mailbox is asked for next.
//
// A Keeper owns the copy, a Guard stands before the database of one
// configuration. While the database is away a Guard asks it again now and then,
// one caller at a time, so that it is not stormed when it comes back and nobody
// waits for a timeout meanwhile.
//
// The file is one line and JSON, mode 0600 because it holds password hashes
// and, where they are in the database, the keys that sign mail:
//
//	gomaild-accounts 1 <SHA-256 of what follows>
//
// Its modification time says when the database was last seen to hold just this.
// It lies on the node's own disk, and once more where it moves with the mail.
package snapshot
