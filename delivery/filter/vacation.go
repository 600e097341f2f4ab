package filter

import (
	"context"
	"errors"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/sieve"
)

// everyMail is PostfixAdmin's interval for an answer to each message.
const everyMail = time.Second

// once is how long an answer is remembered where PostfixAdmin's interval is
// "once": longer than a vacation.
const once = 365 * 24 * time.Hour

// handle is before the version of a vacation in what it is remembered by.
const handle = "postfixadmin "

// askVacation looks up the vacation of a user who may be away. While the
// database cannot be asked mail is stored, and nobody is answered.
func (r *run) askVacation(ctx context.Context) {
	if r.Vacations == nil || !r.q.Recipient.Vacation {
		return
	}
	v, err := r.Vacations.Vacation(ctx, r.q.Recipient.Mailbox.Address)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
	case err != nil:
		r.log.WarnContext(ctx, "look up the vacation; nothing is answered", "error", err)
	default:
		r.away = &v
	}
}

// vacation is the answer of a user who is away: only to what is kept, and where
// no script answers. Whom it goes to and when not is vacation's of Sieve (RFC
// 3834, RFC 5230), and spam gets none, as from PostfixAdmin's own program.
func (r *run) vacation(env *sieve.Env, mayAnswer bool) *sieve.Vacation {
	if r.away == nil || !mayAnswer || isSpam(env.Message) {
		return nil
	}
	period := r.away.Interval
	if period == 0 {
		period = once
	}
	return &sieve.Vacation{
		Reason:  r.away.Body,
		Subject: r.away.Subject,
		Handle:  handle + r.away.Version,
		Period:  period,
	}
}

// isSpam reports a message that a filter before us has marked.
func isSpam(c message.Content) bool {
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return false
		}
		value := strings.ToLower(strings.TrimSpace(f.Text()))
		if f.Is("X-Spam-Flag") && strings.HasPrefix(value, "yes") || f.Is("X-Spam-Status") && strings.HasPrefix(value, "yes") {
			return true
		}
	}
	return false
}

// wasNotified reports that the program that this one replaces has told the
// sender of this vacation.
func (r *run) wasNotified(ctx context.Context, v *sieve.Vacation, o *sieve.Outgoing) bool {
	if r.away == nil || !strings.HasPrefix(v.Handle, handle) || v.Period == everyMail {
		return false
	}
	sender, err := mail.ParseAddress(o.To[0])
	if err != nil {
		return false
	}
	was, err := r.Vacations.Notified(ctx, r.q.Recipient.Mailbox.Address, sender, *r.away)
	if err != nil {
		r.log.WarnContext(ctx, "look up whom PostfixAdmin's program told", "error", err)
	}
	return was
}
