package local

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/storage"
)

// ErrRefused is the cause of a status by which a Filter refuses a message for one
// recipient: that others have it is no reason to refuse it for all.
var ErrRefused = errors.New("refused by the recipient's filter")

// Filter decides where a message goes for one recipient. It is safe for
// concurrent use.
type Filter interface {
	// Filter answers with what to store. A *mail.Status that is permanent
	// refuses the message; any other error is a fault for now. A broken script
	// is neither: the message is kept.
	Filter(ctx context.Context, q Question) (Verdict, error)
}

// Question is what a Filter decides about.
type Question struct {
	Recipient Recipient
	From      mail.ReversePath
	Client    netip.Addr      // who brought the message; zero: not known
	Content   message.Content // as it would be stored, in wire form
	Account   storage.Account // to ask which mailboxes there are
	ID        string          // of the message in the log
	// Store stores one more message as a Store of the Verdict is stored, for
	// what Done wants to keep.
	Store func(ctx context.Context, s Store) error
}

// Verdict is what a Filter decided.
type Verdict struct {
	Stores []Store
	// Done is called when every store is durable, may be nil. It sends what is
	// only to be sent then; what goes wrong there is its own to log.
	Done func(ctx context.Context)
	// Close is called last, whatever came of the stores; may be nil. Until then
	// a Filter may hold back other messages of the account.
	Close func()
}

// Store is one copy to keep.
type Store struct {
	Folder   string // "" is where delivery would put it
	Flags    storage.SystemFlag
	Keywords []string
	Content  message.Content // nil: the message as it came
}

// filtered delivers as the filter decides.
func (a *Agent) filtered(ctx context.Context, log *slog.Logger, account storage.Account, m Message, r Recipient) error {
	c := content(m, r)
	v, err := a.filter.Filter(ctx, Question{
		Recipient: r, From: m.From, Client: m.Client, Content: c, Account: account, ID: m.ID,
		Store: func(ctx context.Context, s Store) error { return a.store1(ctx, log, account, r, s) },
	})
	if err != nil {
		return err
	}
	if v.Close != nil {
		defer v.Close()
	}
	for i := range v.Stores {
		if v.Stores[i].Content == nil {
			v.Stores[i].Content = c
		}
	}
	if err := a.storeAll(ctx, log, account, r, v.Stores); err != nil {
		return err
	}
	if v.Done != nil {
		v.Done(ctx)
	}
	return nil
}

// storeAll writes every copy. There is room for all of them or none is written.
// Once one is durable the message is safe and the sender has done its part: what
// goes wrong with the others is logged, as another try of the sender would bring
// the first copy once more.
func (a *Agent) storeAll(ctx context.Context, log *slog.Logger, account storage.Account, r Recipient, stores []Store) error {
	if len(stores) > 1 {
		var size int64
		for _, s := range stores {
			size += s.Content.Size()
		}
		if err := account.Admits(ctx, size); err != nil {
			return err
		}
	}
	for i, s := range stores {
		err := a.store1(ctx, log, account, r, s)
		switch {
		case err != nil && i == 0:
			return err
		case err != nil:
			log.ErrorContext(ctx, "one of several copies was not stored", "folder", s.Folder, "error", err)
		}
	}
	return nil
}

// store1 writes one copy. Keywords that the mailbox has no room for are left
// out: mail is not lost for a flag.
func (a *Agent) store1(ctx context.Context, log *slog.Logger, account storage.Account, r Recipient, s Store) error {
	if s.Folder != "" {
		r.Folder = s.Folder
	}
	box, err := a.open(ctx, log, account, r)
	if err != nil {
		return err
	}
	defer closeLogged(ctx, log, box)
	err = box.Deliver(ctx, storage.Draft{Content: reader(s.Content), Flags: s.Flags, Keywords: s.Keywords})
	if errors.Is(err, storage.ErrKeywordLimit) {
		log.InfoContext(ctx, "no room for keywords", "folder", box.Name(), "keywords", s.Keywords)
		err = box.Deliver(ctx, storage.Draft{Content: reader(s.Content), Flags: s.Flags})
	}
	if isNoName(err) && box.Name() != inbox { // without the right to post, RFC 4314 section 2.1
		log.InfoContext(ctx, "folder takes no deliveries, delivering to INBOX", "folder", box.Name(), "error", err)
		s.Folder = inbox
		return a.store1(ctx, log, account, r, s)
	}
	return err
}
