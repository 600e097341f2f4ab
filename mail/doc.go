// Package mail is the vocabulary that every other package shares: addresses,
// the envelope, and the status of one recipient.
//
// Rules of the package: no I/O, no interfaces, no configuration. Types here
// are small values that may be copied and compared. What an address means
// (does it exist, where does it go) is the business of accounts and
// delivery/routing; how it is written on the wire is decided here, once.
package mail
