package storage

import (
	"context"
	"errors"
	"strings"
)

// ErrPermission says that a right is missing, to somebody who may know that the
// mailbox is there: NO [NOPERM]. Others hear ErrNoMailbox.
var ErrPermission = errors.New("permission denied")

// ErrACL is for an access control list that cannot be read: it grants nothing.
var ErrACL = errors.New("access control list cannot be read")

// ErrACLSize is for an access control list that would be too long: NO [LIMIT].
var ErrACLSize = errors.New("access control list would be too long")

// Rights is a set of the rights of RFC 4314 section 2.1.
type Rights uint16

// The rights, with their letters.
const (
	RightLookup     Rights = 1 << iota // l: LIST shows the mailbox
	RightRead                          // r: SELECT, STATUS, FETCH, SEARCH
	RightWrite                         // w: flags but \Seen and \Deleted
	RightSeen                          // s: \Seen
	RightDeleted                       // t: \Deleted
	RightInsert                        // i: APPEND, COPY into it
	RightPost                          // p: delivery into it
	RightExpunge                       // e: EXPUNGE
	RightCreate                        // k: CREATE below it
	RightDelete                        // x: DELETE of the mailbox itself
	RightAdminister                    // a: SETACL and its kin

	NoRights  Rights = 0
	AllRights Rights = 1<<len(RightLetters) - 1
)

// RightLetters are the letters in the order of the bits.
const RightLetters = "lrwstipekxa"

// Has reports whether every right of some is in r.
func (r Rights) Has(some Rights) bool { return r&some == some }

// String is the letters, in the order of RightLetters.
func (r Rights) String() string {
	var b strings.Builder
	for i, letter := range RightLetters {
		if r&(1<<i) != 0 {
			b.WriteRune(letter)
		}
	}
	return b.String()
}

// ParseRights reads letters; c and d, of RFC 2086, stand for those that took
// their place (RFC 4314 section 2.1.1). false with another letter in it.
func ParseRights(letters string) (Rights, bool) {
	var r Rights
	for i := range len(letters) {
		switch at := strings.IndexByte(RightLetters, letters[i]); {
		case at >= 0:
			r |= 1 << at
		case letters[i] == 'c':
			r |= RightCreate | RightDelete
		case letters[i] == 'd':
			r |= RightExpunge | RightDeleted
		default:
			return 0, false
		}
	}
	return r, true
}

// Whom a Grant is for. GrantUser, GrantGroup and GrantGroupOverride have a name.
// In this order the later ones win (see package storage/acl).
const (
	GrantAnyone GrantKind = iota
	GrantAuthenticated
	GrantGroup
	GrantOwner
	GrantUser
	GrantGroupOverride
)

// GrantKind is the kind of an identifier.
type GrantKind uint8

// Grant is an entry of an access control list: what it gives, or with Negative
// takes away.
type Grant struct {
	Kind     GrantKind
	Name     string // of the user or group
	Negative bool
	Global   bool // of the administrator's own lists: shown, and changed by nobody here
	Rights   Rights
	Others   []string // names of rights that have no letter: kept, and without effect
}

// Same reports whether two entries are for the same identifier, sign and all.
func (g Grant) Same(other Grant) bool {
	return g.Kind == other.Kind && g.Name == other.Name && g.Negative == other.Negative && g.Global == other.Global
}

// Sharer is what package storage/acl needs of an Account besides.
type Sharer interface {
	Account
	// ACL is the access control list of a mailbox as it is kept, nil where there
	// is none. ErrNoMailbox, ErrName, ErrACL. A mailbox that is only made when it is first
	// used is not made by this.
	ACL(ctx context.Context, mailbox string) ([]Grant, error)
	// EditACL puts what edit returns in the place of the list, durably. An error
	// of edit is returned and nothing changed. ErrNoMailbox, ErrACL, ErrACLSize.
	EditACL(ctx context.Context, mailbox string, edit func([]Grant) ([]Grant, error)) error
	// ACLsChanged tells other programs that mailboxes with lists were made, renamed
	// or deleted. EditACL does it by itself.
	ACLsChanged(ctx context.Context) error
	// SubscribeOther is Subscribe for a name that is in another account.
	SubscribeOther(ctx context.Context, name string, on bool) error
	// AnnotationsOfOther and AnnotateOther are Annotations and Annotate for what this
	// login has noted for itself of a mailbox in another account, by its MailboxID.
	AnnotationsOfOther(ctx context.Context, id string) (Annotations, error)
	AnnotateOther(ctx context.Context, id string, set map[string]*string) error
}

// Guarded is an Account in which mailboxes have access control lists, and
// mailboxes of other accounts appear. Every method of it, and of the mailboxes
// that it opens, asks for the rights that it needs: ErrPermission, or
// ErrNoMailbox where the login may not know that there is a mailbox.
type Guarded interface {
	Account
	// SharedPrefix is what the names of others' mailboxes begin with ("Shared/").
	SharedPrefix() string
	// Rights are those that the login has for a mailbox. ErrNoMailbox where it
	// has none, or none but RightPost.
	Rights(ctx context.Context, mailbox string) (Rights, error)
	// Grants is the access control list as RFC 4314 shows it, the owner's rights
	// among it. It needs RightAdminister.
	Grants(ctx context.Context, mailbox string) ([]Grant, error)
	// Grant changes an entry: ReplaceFlags sets its rights, AddFlags and
	// RemoveFlags add to them and take from them. It needs RightAdminister.
	// ErrName for an identifier that is not allowed here.
	Grant(ctx context.Context, mailbox string, op FlagOp, g Grant) error
	// Revoke removes an entry. It needs RightAdminister.
	Revoke(ctx context.Context, mailbox string, g Grant) error
}
