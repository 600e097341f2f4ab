package policy

import (
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

func (b *Brakes) take(check string, c counted) error {
	if len(c.limits) == 0 {
		return nil
	}
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	if err := take(b.Table, now(), 450, c); err != nil {
		return &Refusal{check, err}
	}
	return nil
}
