// Package routing answers where a recipient's mail goes: address classes,
// aliases, alias domains, catch-all, +detail; and who may send as whom.
//
// The rules are postfixadmin's, as its tables mean them. Where the replaced
// deployment's own SQL answered otherwise, Config.Deployed brings its answers
// back; docs/routing.md lists each difference.
//
// Rules of the package: it asks accounts.Lookup and remembers nothing between
// calls. A fault of the account database is an error without a status, so mail
// waits; only an answered question makes a 5xx. Every expansion is bounded in
// depth and in number.
package routing

import (
	"slices"

	"gomaild/accounts"
	"gomaild/internal/tables"
	"gomaild/mail"
)

// Class is the kind of a Destination.
type Class int

// The classes of a destination.
const (
	Local   Class = iota // an active mailbox here
	Remote               // some other host's mail
	Relay                // a relay domain (backupmx) of ours
	NoUser               // an address of ours that nobody has: 550 5.1.1
	Discard              // taken and thrown away, as its transport says
	Refused              // refused or put off, as its transport says: Transport.Status
)

// Destination is one place that a recipient's mail goes to.
type Destination struct {
	Class   Class
	Address mail.Address     // final address, +detail included
	Mailbox accounts.Mailbox // for Local
	Detail  string           // the +detail, for Local

	// Transport is how mail goes on, by a transport map or domain.transport of
	// the account database; zero for Local, and where the domain's own mail
	// exchangers are meant.
	Transport Transport
	// Vacation says, for Local, that an alias on the way named the mailbox at
	// Config.VacationDomain: its user may be away.
	Vacation bool
}

// Config is what a Router needs. Only Lookup is required.
type Config struct {
	Lookup accounts.Lookup

	Delimiter byte // begins the detail in alice+lists; 0 for no details
	Deployed  bool // answer as the replaced deployment did: see docs/routing.md

	// Origin is the domain of alias entries that have none ("root"). Without
	// it such an entry is an address that nobody has.
	Origin string
	// SystemDomains are the names and address literals of this host itself
	// (Postfix's mydestination). There are no system users: only postmaster
	// and abuse exist there.
	SystemDomains []string
	// Postmaster gets the mail for the bare <postmaster>, for postmaster and
	// abuse at a system domain, and for those at a hosted domain where they
	// lead to nobody. Without it these addresses are refused with 550.
	Postmaster mail.Address
	// VacationDomain is PostfixAdmin's VACATION_DOMAIN. Where it is set, alias
	// entries there ("bob#example.com@autoreply...") are no destinations: they
	// make the mailbox bob@example.com one with Vacation.
	VacationDomain string

	// Transports are transport maps (transport(5)): how mail for an address or a
	// domain goes on, whether it is here or elsewhere.
	Transports *tables.List
	// DomainTransport lets domain.transport of the account database count for
	// domains with mailboxes here too; for relay domains it always does.
	DomainTransport bool
	// RelayRecipients, where it is not nil, are the addresses that exist in relay
	// domains (relay_recipient_maps), beside those with an alias row of their own.
	RelayRecipients *tables.List
	// SenderCopies and RecipientCopies are BCC maps.
	SenderCopies, RecipientCopies *tables.List

	MaxExpansion int // addresses that one recipient may lead to; default 1000
	MaxDepth     int // aliases behind one another; default 100
}

// Router routes. It is safe for concurrent use.
type Router struct {
	config Config
	lookup accounts.Lookup
	rules  rules
}

// New is a Router for c.
func New(c Config) *Router {
	if c.MaxExpansion <= 0 {
		c.MaxExpansion = 1000
	}
	if c.MaxDepth <= 0 {
		c.MaxDepth = 100
	}
	r := &Router{config: c, lookup: c.Lookup, rules: meantRules{table{c}}}
	if c.Deployed {
		r.rules = deployedRules{table{c}}
	}
	return r
}

func (r *Router) isSystem(domain string) bool {
	return slices.Contains(r.config.SystemDomains, domain)
}

// isRole reports the local parts that a mail domain must have: RFC 5321
// section 4.5.1 and RFC 2142 section 4.
func isRole(a mail.Address) bool {
	local := mail.FoldASCII(a.Local)
	return local == "postmaster" || local == "abuse"
}
