// Package acl holds accounts to access control lists (RFC 4314) and shows users
// the mailboxes that others share with them. Its Store is a decorator of any
// storage.Store whose accounts are storage.Sharers.
//
// Who may do what. The owner of an account may do everything with a mailbox
// until its list says otherwise; nobody else may do anything. Of the entries
// that are for a user the last kind decides, in the order anyone, authenticated,
// group, owner, user, group-override: what it gives is in the place of what those
// before it gave, what its negative entries take in the place of what theirs
// took; of several groups the sum. For the owner of the mailbox the entries for
// anyone, authenticated and groups count for nothing. That is how Dovecot reads
// the same lists (TestDovecotAgrees). A list that cannot be read gives nobody
// anything.
//
// Global lists, the administrator's (Global), come after those of the mailboxes:
// what they give or take is in the place of all that was said before, and for the
// owner all their entries count. The groups of a user are the administrator's too
// (Config.Groups).
//
// What others see. A mailbox without the right l is not listed. What a user is
// refused is ErrPermission where he may know that the mailbox is there (l), and
// else ErrNoMailbox, the same as for one that is not. Somebody with the right to
// make a mailbox finds out that its name is taken.
//
// Names. A mailbox of another account is Shared/OWNER/NAME, and Shared/OWNER is
// that account's INBOX. LIST shows those of owners whom the dictionary names for
// the reader: a file that Dovecot keeps (acl_shared_dict = file:PATH) and that is
// brought up to date with each change of a list. A mailbox can be opened without
// being in it.
//
// A mailbox that is made gets the list of the one above it. Flags are common to
// all; private annotations are each login's own, kept in its account under the
// MailboxID.
package acl
