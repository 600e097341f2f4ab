package policy

import (
	"context"
	"log/slog"
	"time"

	"gomaild/mail"
	"gomaild/policy/rate"
)

// Brakes hold our own users to a rate, so that an account whose password was
// stolen is of little use. The zero value holds nobody; it needs Table and
// Logger where it has limits.
type Brakes struct {
	Messages   []rate.Limit // of one account
	Recipients []rate.Limit // of one account, all messages together

	Table  *rate.Table
	Now    func() time.Time // default time.Now
	Logger *slog.Logger
}

// Message counts a message of an account. The error, 450, refuses it.
func (b *Brakes) Message(ctx context.Context, account mail.Address) error {
	return b.take(ctx, counted{"account messages", account.Fold().String(), b.Messages})
}

// Recipient counts a recipient. The error, 450, refuses it.
func (b *Brakes) Recipient(ctx context.Context, account mail.Address) error {
	return b.take(ctx, counted{"account recipients", account.Fold().String(), b.Recipients})
}

func (b *Brakes) take(ctx context.Context, c counted) error {
	if len(c.limits) == 0 {
		return nil
	}
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	err := take(b.Table, now(), 450, c)
	if err != nil {
		b.Logger.WarnContext(ctx, "account held back", "account", c.who, "brake", c.what, "error", err)
	}
	return err
}
