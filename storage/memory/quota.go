package memory

import (
	"context"

	"gomaild/storage"
)

// Quota implements storage.Account.
func (a *account) Quota(context.Context) (storage.Quota, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.limits.Counted {
		return storage.Quota{}, nil
	}
	return storage.Quota{Limits: a.limits, Used: a.used()}, nil
}

// Admits implements storage.Account.
func (a *account) Admits(_ context.Context, size int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.room(storage.Usage{Bytes: max(size, 1), Messages: 1}, true)
}

// used is what the account holds, counted anew.
func (a *account) used() storage.Usage {
	var total storage.Usage
	for _, b := range a.boxes {
		for _, m := range b.contents {
			total = total.Plus(m.usage())
		}
		for _, d := range b.pending {
			total = total.Plus(d.message.usage())
		}
	}
	return total
}

func (a *account) room(add storage.Usage, delivery bool) error {
	if a.limits.Counted && !a.limits.Allows(a.used(), add, delivery) {
		return storage.ErrQuota
	}
	return nil
}

// freed is what a message that goes takes up in the account.
func (h *handle) freed(r *storage.Replaced) storage.Usage {
	if r == nil {
		return storage.Usage{}
	}
	from, ok := r.In.(*handle)
	if !ok || from.b.account != h.b.account || from.b.contents[r.UID] == nil {
		return storage.Usage{}
	}
	return from.b.contents[r.UID].usage()
}

func (m *stored) usage() storage.Usage {
	return storage.Usage{Bytes: m.info.StoredSize, Messages: 1}
}
