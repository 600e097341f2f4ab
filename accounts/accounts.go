// Package accounts says what exists here: domains, mailboxes, aliases and
// their limits. It is an interface and its conformance suite (accountstest);
// the postfixadmin tables are one implementation, in accounts/postfixadmin.
//
// Rules: a look-up answers about exactly the key it is given: no catch-all,
// no recursion, no +detail; that is delivery/routing. Only active rows exist.
// ErrNotFound is the only "no". Every other error means that the database
// could not be asked, and then mail waits (451) and logins are UNAVAILABLE; it
// is never turned into "no such user".
package accounts

import (
	"context"
	"errors"

	"gomaild/mail"
)

// ErrNotFound means that the database was asked and the answer is no: there is
// no such row, or it is not active. The only permanent answer.
var ErrNotFound = errors.New("not found")

// ErrBusy means that so many asked at once that the database was not asked in time.
// It says nothing of the database, and is as temporary as one that is away.
var ErrBusy = errors.New("too many look-ups at once, the account database was not asked")

// Class says how a domain is served.
type Class int

// The classes of a domain in postfixadmin's tables.
const (
	Hosted  Class = iota // its mailboxes and aliases are here
	AliasOf              // another name for Domain.Target (alias_domain)
	Relay                // backupmx: mail is relayed, recipients live elsewhere

	// StrayAlias is an alias domain without an active domain of its own name:
	// strangers' mail for it is refused, but an alias that leads to it is
	// followed to Domain.Target. Only seen where the replaced deployment's
	// answers are asked for.
	StrayAlias
)

// Domain is one active domain.
type Domain struct {
	Name      string
	Class     Class
	Target    string // the target domain, for AliasOf and StrayAlias
	Transport string // domain.transport as stored ("virtual", "smtp:[host]:25"), may be empty
}

// Mailbox is one active mailbox.
type Mailbox struct {
	Address    mail.Address // folded, which names the Maildir as it did for Dovecot, however the row spells it
	Maildir    string       // mailbox.maildir as stored, relative, may be empty
	QuotaBytes int64        // stored octets allowed, 0 for no limit (0 and negative rows alike)
	MaySend    bool         // smtp_active; true where the schema has no such column
}

// Lookup answers what routing and delivery ask. Keys are folded by the
// implementation (mail.Address.Fold). Implementations are safe for concurrent
// use and bound each call by their own timeout besides ctx.
type Lookup interface {
	// Domain is the active domain of that name.
	Domain(ctx context.Context, name string) (Domain, error)
	// Mailbox is the active mailbox of exactly that address.
	Mailbox(ctx context.Context, a mail.Address) (Mailbox, error)
	// Alias is where the row of exactly a leads, a itself included if it is
	// listed. An empty Local in a asks for the catch-all row "@domain"; an
	// empty Local in an answer ("@other") keeps the local part asked for, and
	// an empty Domain is an entry without @, such as "root".
	Alias(ctx context.Context, a mail.Address) ([]mail.Address, error)
}

// Dump is every active row, as the look-ups would answer: what a copy needs to
// stand in for the database.
type Dump struct {
	Domains   []Domain
	Mailboxes []Credentials
	Aliases   []Alias
	// SigningKeys are nil where they are not copied.
	SigningKeys []SigningKey
}

// Credentials is a mailbox with its stored passwords, any one of which lets in.
type Credentials struct {
	Mailbox
	Passwords []string
}

// SigningKey is a private key that signs what an author writes: an address, a
// domain, *@domain, .domain for those below it, or *. PEM may be anything.
type SigningKey struct{ Author, Domain, Selector, PEM string }

// Alias is the row of an alias: no Local in Address for a catch-all, To as
// Lookup.Alias returns it.
type Alias struct {
	Address mail.Address
	To      []mail.Address
}
