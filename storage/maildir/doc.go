// Package maildir keeps mail in Maildir++ folders in the layout of Dovecot
// 2.3, so that either program can take over from the other: the same UIDs,
// UIDVALIDITY, flags, keywords, folders and subscriptions. docs/on-disk.md
// describes the format and its states.
//
// What is true:
//   - The files are the truth. A name in cur/ holds the flags, dovecot-uidlist
//     the UIDs, dovecot-keywords what the letters a to z mean. Whatever is in
//     memory can be thrown away at any time; Dovecot's index files are neither
//     read nor written.
//   - Delivery (Deliver) takes no lock and reads nothing: content is written
//     and synced in tmp/, renamed to new/, the directory synced. The message
//     gets its UID when somebody looks.
//   - Every other change of a folder happens under dovecot-uidlist.lock, after
//     the gate of the mailbox (one of us at a time in this process).
//   - A UID is in a synced dovecot-uidlist before a View shows it. The next
//     UID is above every number that the file or this process ever named.
//   - readdir(3) may leave out a file that is renamed meanwhile. So a message
//     is gone only when two scans did not find it.
//
// MODSEQ is counted in memory. It begins with the time in microseconds when a
// mailbox is loaded, and mailboxes change less often than once in a
// microsecond, so it is higher than all values given out before unless the
// clock was set back.
package maildir
