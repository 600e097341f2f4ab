package acl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gomaild/mail"
	"gomaild/storage"
)

// DefaultPrefix is what the names of others' mailboxes begin with, as in
// Dovecot's documentation.
const DefaultPrefix = "Shared/"

// Config is what a Store is made of. Store, Owner and Dictionary are required.
type Config struct {
	// Store holds the accounts, which must be storage.Sharers. It is closed with
	// this one.
	Store storage.Store
	// Owner finds somebody else's account: storage.ErrNoMailbox if there is none.
	Owner func(ctx context.Context, address mail.Address) (storage.Owner, error)
	// Dictionary says who shares something with whom.
	Dictionary Dictionary
	// Global are lists of the administrator, besides those of the mailboxes. nil:
	// none.
	Global *Global
	// Groups are the names of the groups that an account is in. Default: none.
	Groups func(mail.Address) []string
	// Prefix ends in "/"; default DefaultPrefix.
	Prefix string
	// Anyone lets users share with everybody (Dovecot's acl_anyone = allow).
	Anyone bool
	Logger *slog.Logger // hears of lists that cannot be read (Warn); default: nobody
}

// Store is a storage.Store whose accounts are storage.Guarded. It is safe for
// concurrent use.
type Store struct{ cfg Config }

var _ storage.Store = (*Store)(nil)

// New makes a Store.
func New(cfg Config) *Store {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Groups == nil {
		cfg.Groups = func(mail.Address) []string { return nil }
	}
	return &Store{cfg}
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, o storage.Owner) (storage.Account, error) {
	own, err := s.open(ctx, o)
	if err != nil {
		return nil, err
	}
	return &account{
		store:  s,
		own:    own,
		who:    user{name: loginName(o.Address), groups: s.cfg.Groups(o.Address)},
		others: map[string]storage.Sharer{},
	}, nil
}

// Close implements storage.Store.
func (s *Store) Close() error { return s.cfg.Store.Close() }

func (s *Store) open(ctx context.Context, o storage.Owner) (storage.Sharer, error) {
	a, err := s.cfg.Store.Account(ctx, o)
	if err != nil {
		return nil, err
	}
	sharer, ok := a.(storage.Sharer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T keeps no access control lists", a), a.Close())
	}
	return sharer, nil
}
