package policy

import (
	"context"
	"time"

	"gomaild/mail"
	"gomaild/policy/rate"
)

// Brakes hold our own users to a rate, so that an account whose password was
// stolen is of little use. The zero value holds nobody; with limits it needs a
// Table.
type Brakes struct {
	Messages   []rate.Limit // of one account
	Recipients []rate.Limit // of one account, all messages together

	// NewRecipients is how many recipients elsewhere one account may write to that
	// it did not write to in the last 60 days; what is above it, and all that the
	// account sends in the day after, is held.
	NewRecipients []rate.Limit
	Known         *rate.Table // recipients of accounts; required with NewRecipients
	// Suspect is told once of an account whose mail is held from now on.
	Suspect func(ctx context.Context, account mail.Address)

	Table *rate.Table
	Now   func() time.Time // default time.Now
}

// Names of the brakes in a Refusal.
const (
	accountMessages   = "account_message_rate"
	accountRecipients = "account_recipient_rate"
)

// Message counts a message of an account. The error, a Refusal with 450,
// refuses it.
func (b *Brakes) Message(account mail.Address) error {
	return b.take(accountMessages, counted{"account messages", account.Fold().String(), b.Messages})
}

// Recipient counts a recipient. The error, a Refusal with 450, refuses it.
func (b *Brakes) Recipient(account mail.Address) error {
	return b.take(accountRecipients, counted{"account recipients", account.Fold().String(), b.Recipients})
}

// knownFor is how long a recipient is remembered, and heldFor how long an account
// that grew is held.
const (
	knownFor = 60 * 24 * time.Hour
	heldFor  = 24 * time.Hour
)

// Holds reports that a message of an account to a recipient elsewhere has to wait
// for a person.
func (b *Brakes) Holds(ctx context.Context, account, to mail.Address) bool {
	if len(b.NewRecipients) == 0 {
		return false
	}
	now, who := b.now(), account.Fold().String()
	held := rate.Use{Key: heldKey(who), Limit: rate.Limit{N: 1, Per: heldFor}}
	if b.Table.Uses(now, held.Key) {
		return true
	}
	if b.Known.Take(now, rate.Use{Key: who + " " + to.Fold().String(), Limit: rate.Limit{N: 1, Per: knownFor}}) > 0 {
		return false
	}
	if take(b.Table, now, 450, b.growth(who)) == nil {
		return false
	}
	if b.Table.Take(now, held) == 0 && b.Suspect != nil {
		b.Suspect(ctx, account)
	}
	return true
}

func heldKey(who string) string { return "account held " + who }

func (b *Brakes) growth(who string) counted {
	return counted{"account new recipients", who, b.NewRecipients}
}

// Lift ends the hold of an account, and lets it write to as many new recipients
// as if it had written to none. It reports whether the account was held.
func (b *Brakes) Lift(account mail.Address) bool {
	who := account.Fold().String()
	wasHeld := b.Table.Uses(b.now(), heldKey(who))
	b.Table.Forget(heldKey(who))
	for _, l := range b.NewRecipients {
		b.Table.Forget(b.growth(who).key(l))
	}
	return wasHeld
}

func (b *Brakes) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

func (b *Brakes) take(check string, c counted) error {
	if len(c.limits) == 0 {
		return nil
	}
	if err := take(b.Table, b.now(), 450, c); err != nil {
		return &Refusal{check, err}
	}
	return nil
}
