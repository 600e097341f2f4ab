package daemon

import (
	"gomaild/accounts"
	"gomaild/storage"
)

// owner is whose account a mailbox is, and what it may hold.
func (p *parts) owner(m accounts.Mailbox) storage.Owner {
	o := storage.Owner{Address: m.Address, Maildir: m.Maildir}
	if q := &p.c.Quota; q.Enabled {
		o.Limits = storage.Limits{
			Counted: true,
			Max:     storage.Usage{Bytes: m.QuotaBytes, Messages: int64(q.Messages)},
			Grace:   q.Grace,
		}
	}
	return o
}
