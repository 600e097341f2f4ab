// Package accountstest is the conformance suite of accounts.Lookup, and
// Memory, an implementation for the tests of packages that ask one.
package accountstest

import (
	"context"
	"slices"
	"sync"

	"gomaild/accounts"
	"gomaild/mail"
)

// World is a set of rows. Implementations under test load it; Memory is one.
type World struct {
	Domains   []Domain
	Mailboxes []Mailbox
	Aliases   []Alias
}

// Domain is a row of a domain, of whatever class.
type Domain struct {
	accounts.Domain
	Inactive bool
}

// Mailbox is a row of a mailbox. Address may be in mixed case: what old rows
// look like. QuotaBytes may be negative.
type Mailbox struct {
	accounts.Mailbox
	Inactive bool
}

// Alias is a row of an alias.
type Alias struct {
	Address  mail.Address   // no Local for a catch-all
	To       []mail.Address // as Lookup.Alias returns them
	Inactive bool
}

// Memory is a Lookup in memory. The zero value has no rows.
type Memory struct {
	mu    sync.Mutex
	world World // guarded by mu
	fault error // guarded by mu; what every look-up returns, if not nil
}

var _ accounts.Lookup = (*Memory)(nil)

// NewMemory is a Memory with the rows of w.
func NewMemory(w World) *Memory { return &Memory{world: w} }

// Fail makes every look-up return err, as a database that is down; nil ends it.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Add adds rows.
func (m *Memory) Add(w World) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.world.Domains = append(m.world.Domains, w.Domains...)
	m.world.Mailboxes = append(m.world.Mailboxes, w.Mailboxes...)
	m.world.Aliases = append(m.world.Aliases, w.Aliases...)
}

// Domain implements accounts.Lookup.
func (m *Memory) Domain(ctx context.Context, name string) (accounts.Domain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refusal(ctx); err != nil {
		return accounts.Domain{}, err
	}
	for _, d := range m.world.Domains {
		if mail.FoldASCII(d.Name) == mail.FoldASCII(name) && !d.Inactive {
			d.Domain.Name = mail.FoldASCII(d.Name)
			return d.Domain, nil
		}
	}
	return accounts.Domain{}, accounts.ErrNotFound
}

// Mailbox implements accounts.Lookup.
func (m *Memory) Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refusal(ctx); err != nil {
		return accounts.Mailbox{}, err
	}
	for _, b := range m.world.Mailboxes {
		if fold(b.Address) == fold(a) && !b.Inactive {
			b.Mailbox.Address = fold(a)
			b.QuotaBytes = max(b.QuotaBytes, 0)
			return b.Mailbox, nil
		}
	}
	return accounts.Mailbox{}, accounts.ErrNotFound
}

// Alias implements accounts.Lookup.
func (m *Memory) Alias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refusal(ctx); err != nil {
		return nil, err
	}
	for _, row := range m.world.Aliases {
		if fold(row.Address) == fold(a) && !row.Inactive && len(row.To) > 0 {
			return slices.Clone(row.To), nil
		}
	}
	return nil, accounts.ErrNotFound
}

// refusal is why a look-up cannot be answered. m.mu is held.
func (m *Memory) refusal(ctx context.Context) error {
	if m.fault != nil {
		return m.fault
	}
	return ctx.Err()
}

func fold(a mail.Address) mail.Address {
	return mail.Address{Local: mail.FoldASCII(a.Local), Domain: mail.FoldASCII(a.Domain)}
}
