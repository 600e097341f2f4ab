package daemon

import (
	"context"
	"errors"
	"sync/atomic"

	"gomaild/accounts"
	"gomaild/mail"
	"gomaild/storage"
)

// sharing finds the accounts of those who share mailboxes, by the accounts of
// the latest generation.
type sharing struct {
	find atomic.Pointer[func(context.Context, mail.Address) (storage.Owner, error)]
}

// owner is whose account an address is: storage.ErrNoMailbox if nobody's.
func (s *sharing) owner(ctx context.Context, a mail.Address) (storage.Owner, error) {
	find := s.find.Load()
	if find == nil {
		return storage.Owner{}, errors.New("no accounts yet")
	}
	return (*find)(ctx, a)
}

// sharer is the account of somebody whose mailboxes another user asks for.
func (p *parts) sharer(ctx context.Context, a mail.Address) (storage.Owner, error) {
	m, err := p.db.Mailbox(ctx, a)
	if errors.Is(err, accounts.ErrNotFound) {
		return storage.Owner{}, storage.ErrNoMailbox
	}
	if err != nil {
		return storage.Owner{}, err
	}
	return p.owner(m), nil
}
