// Package routing answers where a recipient's mail goes: address classes,
// aliases, alias domains, catch-all, +detail; and who may send as whom.
//
// The rules are postfixadmin's, as its tables mean them. Where the replaced
// deployment's own SQL answered otherwise, Config.Deployed brings its answers
// back; docs/routing.md lists each difference.
package routing

import (
	"gomaild/accounts"
	"gomaild/mail"
)

// Class is the kind of a Destination.
type Class int

// The classes of a destination.
const (
	Local  Class = iota // an active mailbox here
	Remote              // some other host's mail
	Relay               // a relay domain (backupmx) of ours
	NoUser              // an address of ours that nobody has: 550 5.1.1
)

// Destination is one place that a recipient's mail goes to.
type Destination struct {
	Class   Class
	Address mail.Address     // final address, +detail included
	Mailbox accounts.Mailbox // for Local
	Detail  string           // the +detail, for Local
}
