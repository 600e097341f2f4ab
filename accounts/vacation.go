package accounts

import (
	"context"
	"time"

	"gomaild/mail"
)

// Vacation is what an account answers with while its user is away, as set in
// PostfixAdmin.
type Vacation struct {
	Subject, Body string
	// Interval is between two answers to one sender; 0: one answer each until
	// the vacation is set again.
	Interval time.Duration
	// Version changes when the vacation is set again.
	Version string
}

// Vacations answers what is to be known of users who are away.
type Vacations interface {
	// Vacation is the vacation of exactly that address that is in force now.
	Vacation(ctx context.Context, a mail.Address) (Vacation, error)
	// Notified reports that somebody else answered sender for a, within the
	// interval of v: PostfixAdmin's own program, before this one took its place.
	Notified(ctx context.Context, a, sender mail.Address, v Vacation) (bool, error)
}
