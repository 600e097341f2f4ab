// Package auth says who may log in: password schemes, SASL mechanisms, the
// throttle and the cache of verified logins.
//
// Rules: an unknown user costs the work of a wrong password; an empty password
// never logs in; a fault of the account database is ErrUnavailable, never a
// refusal; nothing here logs or returns a password. The protocol packages see
// only Authenticator; accounts are reached through Store.
package auth

import (
	"context"
	"errors"
	"net/netip"

	"gomaild/mail"
)

// The outcomes of a login that is not granted. Protocols map them so:
//
//	ErrDenied       535 5.7.8    NO [AUTHENTICATIONFAILED]
//	ErrUnavailable  454 4.7.0    NO [UNAVAILABLE]
//	ErrCancelled    501 5.7.0    BAD (the client sent "*")
//	ErrMalformed    501 5.5.2    BAD (bad base64, wrong field count)
//	ErrMechanism    504 5.5.4    NO
//
// Any other error is treated as ErrUnavailable.
var (
	ErrDenied      = errors.New("authentication failed")
	ErrUnavailable = errors.New("accounts could not be asked")
	ErrCancelled   = errors.New("authentication cancelled")
	ErrMalformed   = errors.New("malformed authentication exchange")
	ErrMechanism   = errors.New("unknown authentication mechanism")
	ErrUnknownUser = errors.New("no such user") // from a Store only
)

// Client is who tries to log in, for the throttle and the log.
type Client struct {
	Addr     netip.Addr // the peer's address
	Protocol string     // "smtp", "imap", "pop3"
	Session  string     // the session's id in the log
	OnTLS    bool       // the connection is encrypted
}

// Identity is a login that was granted.
type Identity struct {
	Account mail.Address // the mailbox, as stored
	MaySend bool         // may submit mail (smtp_active)
}

// Credential is what a Store knows of one account.
type Credential struct {
	Account mail.Address
	Hashes  []string // stored passwords, each with its {SCHEME} or bare; any one lets in
	MaySend bool
}

// Store finds the credential of a login name that is already folded and has a
// domain. It returns ErrUnknownUser if there is no such active account; every
// other error means that the database could not be asked.
type Store interface {
	Credential(ctx context.Context, login mail.Address) (Credential, error)
}

// Authenticator is what the protocol servers need of this package.
type Authenticator interface {
	// Mechanisms are the SASL mechanisms to offer, best first.
	Mechanisms() []string
	// Start begins an exchange in the named mechanism (any case of letters);
	// ErrMechanism if there is none of that name.
	Start(mechanism string, c Client) (Exchange, error)
	// Login verifies a name and password, for IMAP LOGIN and POP3 PASS. It
	// may wait, as long as the throttle says; ctx ends the wait.
	Login(ctx context.Context, c Client, username, password string) (Identity, error)
}

// Exchange is one SASL exchange on the server's side. The protocol package
// does base64 and lines; an Exchange sees decoded octets.
type Exchange interface {
	// Next takes the client's response (nil at the beginning when there was no
	// initial response) and returns either a challenge to send, or done with
	// the identity, or an error from the list above. It may wait as Login does.
	Next(ctx context.Context, response []byte) (challenge []byte, done bool, id Identity, err error)
}
