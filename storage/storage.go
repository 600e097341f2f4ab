// Package storage says what a mail store is: accounts with mailboxes, and of
// each mailbox an immutable View that many sessions share.
//
// Rules. A UID is on disk before a View shows it, and is never used again.
// UIDVALIDITY changes only when no other answer is honest. A View never
// changes; a change makes a new View, and Diff says what a client that knows
// the old one must hear. When Append, Deliver, Copy, Move, Expunge or SetFlags
// return without an error the change survives a power cut (flag changes
// survive a crash of the process, and a power cut once the file system has
// written its journal, as with Dovecot).
//
// Names of mailboxes are UTF-8 with "/" between levels; INBOX is spelled so.
// The suite in storagetest is what every implementation passes.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

// What callers can act on. Everything else is a fault of the store: temporary.
var (
	ErrNoMailbox       = errors.New("no such mailbox")             // NO [NONEXISTENT], or [TRYCREATE]
	ErrExists          = errors.New("mailbox exists already")      // NO [ALREADYEXISTS]
	ErrName            = errors.New("name not possible here")      // NO [CANNOT]; wrapped with the reason
	ErrNoSelect        = errors.New("mailbox cannot be opened")    // NO [NONEXISTENT]
	ErrExpunged        = errors.New("message is gone")             // NO [EXPUNGEISSUED]
	ErrKeywordLimit    = errors.New("no room for another keyword") // NO [LIMIT]
	ErrInUse           = errors.New("locked by another program")   // NO [INUSE]; passes
	ErrReadOnly        = errors.New("mailbox is read-only")        // NO [READ-ONLY]
	ErrQuota           = errors.New("account is over its quota")   // NO [OVERQUOTA], 552 5.2.2
	ErrAnnotationSize  = errors.New("annotation is too long")      // NO [METADATA MAXSIZE n], n is MaxAnnotation
	ErrAnnotationCount = errors.New("too many annotations")        // NO [METADATA TOOMANY]
)

// UID is a message's number for ever (RFC 9051 section 2.3.1.1).
type UID uint32

// ModSeq is the change counter of RFC 7162.
type ModSeq uint64

// Owner is whose account to open and what the accounts say of it.
type Owner struct {
	Address mail.Address // as stored in the mailbox row
	Maildir string       // the mailbox.maildir column, may be empty
	Limits  Limits       // those of all handles of the account from now on
}

// Store holds accounts. It is safe for concurrent use.
type Store interface {
	// Account opens an account, making its directories if they are missing.
	// Handles of one account share their state; each must be closed.
	Account(ctx context.Context, o Owner) (Account, error)
	// Close ends all work; when it returns no file of the store is open.
	Close() error
}

// Account is one login's home.
type Account interface {
	// Mailboxes lists every mailbox, and the missing parents of some, sorted.
	Mailboxes(ctx context.Context) ([]MailboxInfo, error)
	// Open opens a mailbox. ErrNoMailbox, ErrNoSelect, ErrName.
	Open(ctx context.Context, name string) (Mailbox, error)
	// Create makes a mailbox, not its parents. ErrExists, ErrName.
	Create(ctx context.Context, name string) error
	// Delete removes a mailbox with its messages; children stay. INBOX cannot
	// be deleted (ErrName). ErrNoMailbox.
	Delete(ctx context.Context, name string) error
	// Rename moves a mailbox and its children, UIDs and all. Renaming INBOX
	// moves its messages to the new mailbox (RFC 3501 section 6.3.5).
	Rename(ctx context.Context, from, to string) error
	// Subscribe adds name to the subscriptions or takes it away. Names that do
	// not exist (any more) can be taken away, not added (ErrNoMailbox).
	Subscribe(ctx context.Context, name string, on bool) error
	// Subscriptions lists the subscribed names, existing or not.
	Subscriptions(ctx context.Context) ([]string, error)
	// Annotations are those of a mailbox, of the account itself with mailbox ""
	// (RFC 5464). They stay with a mailbox that is renamed. ErrNoMailbox.
	Annotations(ctx context.Context, mailbox string) (Annotations, error)
	// Annotate sets annotations, all or none; nil removes one. Those of a mailbox
	// raise its HIGHESTMODSEQ. The names and
	// values are those that CheckAnnotation takes. ErrNoMailbox, ErrName,
	// ErrAnnotationSize, ErrAnnotationCount.
	Annotate(ctx context.Context, mailbox string, set map[string]*string) error
	// AnnotationsVersion is another text once annotations of the account were
	// changed, by anybody. It costs a look at one file.
	AnnotationsVersion(ctx context.Context) (string, error)
	// Quota is what the account holds and may hold; the zero value where nobody
	// counts.
	Quota(ctx context.Context) (Quota, error)
	// Admits says whether a message of at least size octets would be delivered
	// now: ErrQuota if not.
	Admits(ctx context.Context, size int64) error
	// Check looks for everything that breaks the store's own rules, and returns it
	// in words, sorted. It reads every message, changes nothing, and may run beside
	// others' work.
	Check(ctx context.Context) ([]string, error)
	// Repair puts right what Check finds. Messages that cannot keep their UIDs
	// honestly get new ones. What is beyond repair Check still finds afterwards.
	Repair(ctx context.Context) error
	Close() error
}

// MailboxInfo is what LIST tells of a mailbox.
type MailboxInfo struct {
	Name       string
	SpecialUse string // `\Sent` ... (RFC 6154), several with a blank between them, or ""
	NoSelect   bool   // only a parent of others
	NonExist   bool   // the directory is not there yet
	Subscribed bool
	NewMail    bool // files wait in new/: \Marked
}

// Mailbox is an open mailbox. Handles share their state and are safe for
// concurrent use; each must be closed.
type Mailbox interface {
	Name() string
	// View is the mailbox now: it looks at the disk, takes in what others
	// delivered or changed, and returns the present View, the same pointer if
	// nothing changed.
	View(ctx context.Context) (*View, error)
	// Changed is closed at the first change after v, made by this process or
	// noticed on disk.
	Changed(v *View) <-chan struct{}
	// Watch calls wake when Changed would be closed, at once if it is already; it
	// costs less memory than a goroutine that waits. wake must not block, and may
	// be called a last time while stop is.
	Watch(v *View, wake func()) (stop func())
	// ClaimRecent makes the caller the session that is told of new messages as
	// \Recent: it returns the UIDs in v that nobody claimed before.
	ClaimRecent(ctx context.Context, v *View) ([]UID, error)

	// Append stores a message under the next UID. ErrKeywordLimit, ErrQuota.
	Append(ctx context.Context, d Draft) (UID, error)
	// AppendAll stores messages under the next UIDs, all or none, over a crash too
	// (RFC 3502). The content of each is read before the next is asked for; Instead
	// is not looked at. ErrKeywordLimit, ErrQuota.
	AppendAll(ctx context.Context, drafts iter.Seq[Draft]) ([]UID, error)
	// Deliver stores a new message durably without looking at the mailbox; it
	// gets its UID when somebody opens the mailbox. The way of local delivery.
	// ErrKeywordLimit, ErrQuota.
	Deliver(ctx context.Context, d Draft) error
	// SetFlags edits flags. With unchangedSince not zero, messages with a
	// higher MODSEQ are left alone and returned as conflicts. UIDs that do not
	// exist (any more) are passed over. ErrKeywordLimit.
	SetFlags(ctx context.Context, uids []UID, e FlagEdit, unchangedSince ModSeq) (conflicts []UID, err error)
	// Expunge removes messages, whatever their flags.
	Expunge(ctx context.Context, uids []UID) error
	// Copy copies messages of this mailbox to another of the same store, all or
	// none, and returns the new UIDs in the order of uids. ErrExpunged if one
	// of them is gone, ErrQuota.
	Copy(ctx context.Context, uids []UID, to Mailbox) ([]UID, error)
	// Move is Copy and Expunge in one: a message is never in neither place. Within
	// an account it is never over quota.
	Move(ctx context.Context, uids []UID, to Mailbox) ([]UID, error)

	// Vanished are UIDs that are not in v and were expunged after since: all that
	// were, and perhaps others that are no longer in use (RFC 7162 section
	// 3.2.5.1 allows it), so that a lost history costs octets and no client ever
	// keeps a message that is gone.
	Vanished(ctx context.Context, v *View, since ModSeq) ([]UIDRange, error)

	// Maildrop lists the messages of v as POP3 shows them, those that are gone
	// left out. It opens no file whose sizes are written down.
	Maildrop(ctx context.Context, v *View) ([]MaildropEntry, error)
	// Info is a message's sizes and times. ErrExpunged.
	Info(ctx context.Context, uid UID) (Info, error)
	// Content opens a message; close it. ErrExpunged.
	Content(ctx context.Context, uid UID) (Content, error)
	// Memo is of the mailbox, as long as anybody has it open: for what depends on
	// the messages alone, not on their flags.
	Memo() *Memo
	// Reader reads what is known of messages without opening them. Close it when
	// the command is done: it holds files and memory.
	Reader() Reader
	Close() error
}

// Reader reads what is kept of messages, best in the order of their UIDs. It is
// for one goroutine.
type Reader interface {
	// Facts are a message's sizes and arrival. ErrExpunged.
	Facts(ctx context.Context, uid UID) (Facts, error)
	// Digest is a message parsed, once for all who ask, and its facts. What it
	// shows is valid until the next call. ErrExpunged.
	Digest(ctx context.Context, uid UID) (message.Digest, Facts, error)
	// Sent is the Date field of a message, zero if it has none, and its facts.
	// ErrExpunged.
	Sent(ctx context.Context, uid UID) (time.Time, Facts, error)
	// Whole reads a message as it is stored into buf, as much as there is room
	// for: less than len(buf) is all of it. It is for many small messages one after
	// the other; others have Content. ErrExpunged.
	Whole(ctx context.Context, uid UID, buf []byte) (n int, err error)
	Close() error
}

// Content is message.Content that must be closed.
type Content interface {
	message.Content
	io.Closer
}

// Info is what is known of a message without parsing it.
type Info struct {
	Facts
	SaveDate time.Time // RFC 8514
	EmailID  string    // RFC 8474: the content's name, the same after MOVE
	ThreadID string    // RFC 8474; "": not known, NIL
}

// Facts are a message's sizes and arrival.
type Facts struct {
	WireSize     int64 // RFC822.SIZE
	StoredSize   int64 // octets of the file
	InternalDate time.Time
}

// MaildropEntry is what POP3 needs of a message before its content (RFC 1939).
type MaildropEntry struct {
	UID      UID
	WireSize int64  // octets with CRLF line ends
	Name     string // what the store knows the message by for ever; in a Maildir the base name of its file
	UniqueID string // a unique-id that was given out before and must stay (a `P` field of the uidlist), or ""
	Order    uint32 // place in a list that was given out before (an `O` field), 0 for none
}

// Draft is a message to be stored. Content is in wire form (CRLF); it is read
// once, to EOF, and an error of it is returned and nothing stored.
type Draft struct {
	Content      io.Reader
	Flags        SystemFlag
	Keywords     []string
	InternalDate time.Time // zero: now
	// Instead is a message that is expunged as soon as this one is stored
	// (REPLACE, RFC 8508). In the same account its room counts as free for Append.
	Instead *Replaced
}

// Replaced is a message that gives way to another.
type Replaced struct {
	In  Mailbox
	UID UID
}
