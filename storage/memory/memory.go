// Package memory is a mail store that holds everything in memory and forgets
// it at the end: the fake that tests of the protocols run on. It keeps the
// rules of package storage except durability.
package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"gomaild/mail"
	"gomaild/storage"
)

// Store is a storage.Store. Its zero value is ready.
type Store struct {
	mu       sync.Mutex
	accounts map[mail.Address]*account
}

// Account implements storage.Store. A new account has an INBOX.
func (s *Store) Account(_ context.Context, o storage.Owner) (storage.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[o.Address]
	if a == nil {
		a = &account{mu: &s.mu, boxes: map[string]*box{}, subscribed: map[string]bool{}}
		a.boxes["INBOX"] = a.newBox("INBOX")
		if s.accounts == nil {
			s.accounts = map[mail.Address]*account{}
		}
		s.accounts[o.Address] = a
	}
	a.limits = o.Limits
	return a, nil
}

// Close implements storage.Store.
func (s *Store) Close() error { return nil }

// account is a storage.Account; its state is under the store's one lock.
type account struct {
	mu         *sync.Mutex
	boxes      map[string]*box
	subscribed map[string]bool
	notes      storage.Annotations
	noted      int                             // how often annotations were changed
	others     map[string]*storage.Annotations // of mailboxes in other accounts, by their ids
	limits     storage.Limits
	validity   uint32 // last UIDVALIDITY given out
}

// newBox is called with the lock held.
func (a *account) newBox(name string) *box {
	a.validity++
	b := &box{account: a, name: name, changed: make(chan struct{}), contents: map[storage.UID]*stored{}}
	b.view = &storage.View{MailboxID: "B" + strconv.FormatUint(uint64(a.validity), 10) + rand.Text(), UIDValidity: a.validity, UIDNext: 1, HighestModSeq: 1, MoreKeywords: true}
	b.recentFrom = 1
	return b
}

// specialUse is by name, as a server is configured by default.
var specialUse = map[string]string{"Sent": `\Sent`, "Drafts": `\Drafts`, "Trash": `\Trash`, "Junk": `\Junk`}

// Mailboxes implements storage.Account.
func (a *account) Mailboxes(context.Context) ([]storage.MailboxInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]storage.MailboxInfo{}
	for name := range a.boxes {
		all[name] = storage.MailboxInfo{
			Name: name, SpecialUse: specialUse[name], Subscribed: a.subscribed[name], NewMail: len(a.boxes[name].pending) > 0,
		}
		info := all[name]
		info.GiveUses(a.boxes[name].notes[storage.SpecialUseEntry])
		all[name] = info
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			parent := name[:i]
			if a.boxes[parent] == nil {
				all[parent] = storage.MailboxInfo{Name: parent, NoSelect: true, NonExist: true, Subscribed: a.subscribed[parent]}
			}
		}
	}
	infos := slices.Collect(maps.Values(all))
	slices.SortFunc(infos, func(x, y storage.MailboxInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

// Open implements storage.Account.
func (a *account) Open(_ context.Context, name string) (storage.Mailbox, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.boxes[name]
	switch {
	case b != nil:
		return &handle{b: b}, nil
	case a.hasChildren(name):
		return nil, fmt.Errorf("open %q: %w", name, storage.ErrNoSelect)
	}
	return nil, fmt.Errorf("open %q: %w", name, storage.ErrNoMailbox)
}

func (a *account) hasChildren(name string) bool {
	for other := range a.boxes {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// cleanName spells INBOX and refuses what a directory tree could not hold.
func cleanName(name string) (string, error) {
	first, rest, nested := strings.Cut(name, "/")
	if strings.EqualFold(first, "INBOX") {
		name = "INBOX"
		if nested {
			name += "/" + rest
		}
	}
	for level := range strings.SplitSeq(name, "/") {
		if level == "" || level == "." || level == ".." || strings.ContainsFunc(level, unicode.IsControl) || !utf8.ValidString(level) {
			return "", fmt.Errorf("name %q: %w", name, storage.ErrName)
		}
	}
	return name, nil
}

// Create implements storage.Account.
func (a *account) Create(_ context.Context, name string) error {
	name, err := cleanName(strings.TrimSuffix(name, "/"))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.boxes[name] != nil {
		return fmt.Errorf("create %q: %w", name, storage.ErrExists)
	}
	a.boxes[name] = a.newBox(name)
	return nil
}

// Delete implements storage.Account.
func (a *account) Delete(_ context.Context, name string) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.boxes[name]
	switch {
	case name == "INBOX":
		return fmt.Errorf("delete %q: %w", name, storage.ErrName)
	case b == nil:
		return fmt.Errorf("delete %q: %w", name, storage.ErrNoMailbox)
	}
	delete(a.boxes, name)
	b.gone = true
	b.announce()
	return nil
}

// Rename implements storage.Account.
func (a *account) Rename(_ context.Context, from, to string) error {
	to, err := cleanName(to)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case strings.HasPrefix(to, from+"/"):
		return fmt.Errorf("rename to %q: %w", to, storage.ErrName)
	case a.boxes[to] != nil || a.hasChildren(to):
		return fmt.Errorf("rename to %q: %w", to, storage.ErrExists)
	case from == "INBOX":
		return a.moveINBOX(to)
	}
	moved := false
	for name, b := range maps.Clone(a.boxes) {
		if name == from || strings.HasPrefix(name, from+"/") {
			delete(a.boxes, name)
			b.name = to + name[len(from):]
			a.boxes[b.name] = b
			moved = true
		}
	}
	if !moved {
		return fmt.Errorf("rename %q: %w", from, storage.ErrNoMailbox)
	}
	return nil
}

// moveINBOX moves the messages and leaves INBOX.
func (a *account) moveINBOX(to string) error {
	inbox, b := a.boxes["INBOX"], a.newBox(to)
	inbox.number()
	a.boxes[to] = b
	uids := make([]storage.UID, 0, len(inbox.view.Messages))
	for _, m := range inbox.view.Messages {
		uids = append(uids, m.UID)
	}
	b.take(inbox, uids)
	inbox.remove(uids)
	return nil
}

// Subscribe implements storage.Account.
func (a *account) Subscribe(_ context.Context, name string, on bool) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !on {
		delete(a.subscribed, name)
		return nil
	}
	if a.boxes[name] == nil {
		return fmt.Errorf("subscribe %q: %w", name, storage.ErrNoMailbox)
	}
	a.subscribed[name] = true
	return nil
}

// Subscriptions implements storage.Account.
func (a *account) Subscriptions(context.Context) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.subscribed)), nil
}

// Close implements storage.Account.
func (a *account) Close() error { return nil }
