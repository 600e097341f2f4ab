package local_test

import (
	"context"
	"io"
	"strings"
	"sync"

	"gomaild/mail"
	"gomaild/storage"
)

// fakeStore keeps what is delivered as text, by account and mailbox. Only what
// delivery uses is there; anything else is a nil method and panics.
type fakeStore struct {
	storage.Store

	mu       sync.Mutex
	boxes    map[string][]string // "alice@x.test INBOX" -> messages
	folders  map[string]bool     // "alice@x.test Lists"
	subs     []string
	open     int                      // accounts and mailboxes not closed
	most     int                      // deliveries at once, the most there were
	now      int                      // deliveries at once
	gate     func()                   // called in each delivery, without the lock
	fail     map[string]error         // by "account", "open NAME", "create", "subscribe", "deliver", "close"
	failOnly mail.Address             // if set, only this account fails
	owners   map[string]storage.Owner // as they were asked for
}

func newFake(folders ...string) *fakeStore {
	s := &fakeStore{boxes: map[string][]string{}, folders: map[string]bool{}, fail: map[string]error{}, owners: map[string]storage.Owner{}}
	for _, f := range folders {
		s.folders[f] = true
	}
	return s
}

func (s *fakeStore) Account(_ context.Context, o storage.Owner) (storage.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[o.Address.String()] = o
	a := &fakeAccount{store: s, owner: o.Address}
	if err := a.failure("account"); err != nil {
		return nil, err
	}
	s.open++
	return a, nil
}

type fakeAccount struct {
	storage.Account
	store *fakeStore
	owner mail.Address
}

// failure is called with the lock held.
func (a *fakeAccount) failure(what string) error {
	if !a.store.failOnly.IsZero() && a.store.failOnly != a.owner {
		return nil
	}
	return a.store.fail[what]
}

func (a *fakeAccount) key(name string) string { return a.owner.String() + " " + name }

func (a *fakeAccount) Open(_ context.Context, name string) (storage.Mailbox, error) {
	s := a.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := a.failure("open " + name); err != nil {
		return nil, err
	}
	if strings.Contains(name, ".") {
		return nil, storage.ErrName
	}
	if name != "INBOX" && !s.folders[a.key(name)] {
		return nil, storage.ErrNoMailbox
	}
	s.open++
	return &fakeBox{account: a, name: name}, nil
}

func (a *fakeAccount) Create(_ context.Context, name string) error {
	s := a.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := a.failure("create"); err != nil {
		s.folders[a.key(name)] = true // as if somebody else had made it
		return err
	}
	s.folders[a.key(name)] = true
	return nil
}

func (a *fakeAccount) Subscribe(_ context.Context, name string, _ bool) error {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	a.store.subs = append(a.store.subs, a.key(name))
	return a.failure("subscribe")
}

func (a *fakeAccount) Close() error { return a.store.close(a) }

func (s *fakeStore) close(a *fakeAccount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	return a.failure("close")
}

type fakeBox struct {
	storage.Mailbox
	account *fakeAccount
	name    string
}

func (b *fakeBox) Close() error { return b.account.store.close(b.account) }

func (b *fakeBox) Deliver(_ context.Context, d storage.Draft) error {
	s := b.account.store
	s.count(+1)
	defer s.count(-1)
	if s.gate != nil {
		s.gate()
	}
	data, err := io.ReadAll(d.Content)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := b.account.failure("deliver"); err != nil {
		return err
	}
	key := b.account.key(b.name)
	s.boxes[key] = append(s.boxes[key], string(data))
	return nil
}

func (s *fakeStore) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += n
	s.most = max(s.most, s.now)
}

func (a *fakeAccount) Admits(context.Context, int64) error { return nil }
