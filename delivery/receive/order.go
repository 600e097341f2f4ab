package receive

import (
	"context"
	"fmt"
	"io"

	"gomaild/mail"
	"gomaild/smtp"
)

// Order is one message for one recipient that comes by no connection.
type Order struct {
	Session string // in the log
	ID      string // in the log, of the message; "" for none
	From    mail.ReversePath
	To      mail.Address
	Folder  string    // mailbox to deliver to, made when it is missing; "" for INBOX
	Content io.Reader // wire form (CRLF)
}

// Deliver does for `gomaild deliver` what the LDA's socket does, in this
// process: nil means that the message survives a power cut, other errors have
// a status as those of a Transaction.
func Deliver(ctx context.Context, c Config, o Order) error {
	return deliver(ctx, c, ldaWay(), o)
}

// DeliverOwn is Deliver for mail that comes from this server itself: redirects
// and answers of Sieve scripts, notifications. It is routed and gets its trace
// fields, and recipients elsewhere are owed.
func DeliverOwn(ctx context.Context, c Config, o Order) error {
	return deliver(ctx, c, way{name: "own", addsTrace: true, relays: true, seals: true, perRecipient: true}, o)
}

// Redeliver is Deliver for a mailbox that was put off (Owed.Here).
func Redeliver(ctx context.Context, c Config, o Order) error {
	return deliver(ctx, c, way{name: "again", isFinal: true, isAgain: true, perRecipient: true}, o)
}

func deliver(ctx context.Context, c Config, w way, o Order) error {
	r := newReceiver(c, w)
	t := r.newTransaction(smtp.Client{Session: o.Session}, o.From)
	t.folder = o.Folder
	if o.ID != "" {
		t.id, t.log = o.ID, t.log.With("id", o.ID)
	}
	if err := t.AddRecipient(ctx, mail.Recipient{Address: o.To}); err != nil {
		return err
	}
	results := t.Commit(ctx, o.Content)
	if len(results) != 1 {
		return fmt.Errorf("deliver to %s: %d results", o.To, len(results))
	}
	return results[0]
}
