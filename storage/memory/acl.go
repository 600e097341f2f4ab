package memory

import (
	"context"
	"fmt"
	"slices"

	"gomaild/storage"
)

var _ storage.Sharer = (*account)(nil)

// ACL implements storage.Sharer.
func (a *account) ACL(_ context.Context, mailbox string) ([]storage.Grant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.find(mailbox)
	if err != nil {
		return nil, err
	}
	return slices.Clone(b.acl), nil
}

// EditACL implements storage.Sharer.
func (a *account) EditACL(_ context.Context, mailbox string, edit func([]storage.Grant) ([]storage.Grant, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.find(mailbox)
	if err != nil {
		return err
	}
	edited, err := edit(slices.Clone(b.acl))
	if err != nil {
		return err
	}
	b.acl = edited
	return nil
}

// ACLsChanged implements storage.Sharer.
func (a *account) ACLsChanged(context.Context) error { return nil }

// find is called with the lock held.
func (a *account) find(mailbox string) (*box, error) {
	name, err := cleanName(mailbox)
	if err != nil {
		return nil, err
	}
	b := a.boxes[name]
	if b == nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, storage.ErrNoMailbox)
	}
	return b, nil
}

// SubscribeOther implements storage.Sharer.
func (a *account) SubscribeOther(_ context.Context, name string, on bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.subscribed, name)
	if on {
		a.subscribed[name] = true
	}
	return nil
}
