package pop3

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"gomaild/mail"
	"gomaild/storage"
)

// maildrop is the INBOX as it was at login, with what the session did to it.
type maildrop struct {
	box      storage.Mailbox
	messages []letter // message number n is messages[n-1]
}

// letter is one message of the maildrop.
type letter struct {
	uid       storage.UID
	size      int64 // octets on the wire
	uniqueID  string
	deleted   bool // DELE
	retrieved bool // RETR
}

func newMaildrop(ctx context.Context, box storage.Mailbox, f UniqueIDFormat) (*maildrop, error) {
	view, err := box.View(ctx)
	if err != nil {
		return nil, err
	}
	list, err := box.Maildrop(ctx, view)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, byOrder)
	d := &maildrop{box: box, messages: make([]letter, len(list))}
	for i, e := range list {
		d.messages[i] = letter{uid: e.UID, size: e.WireSize, uniqueID: f.uniqueID(e, view.UIDValidity)}
	}
	return d, nil
}

// byOrder puts messages first that have a place of their own, as Dovecot does.
func byOrder(a, b storage.MaildropEntry) int {
	switch {
	case a.Order == 0 && b.Order == 0:
		return 0
	case a.Order == 0:
		return 1
	case b.Order == 0:
		return -1
	}
	return cmp.Compare(a.Order, b.Order)
}

// total counts the messages that are not deleted, and their octets.
func (d *maildrop) total() (n int, octets int64) {
	for i := range d.messages {
		if m := &d.messages[i]; !m.deleted {
			n++
			octets += m.size
		}
	}
	return n, octets
}

// uids are those of the messages that fit.
func (d *maildrop) uids(fits func(*letter) bool) []storage.UID {
	var uids []storage.UID
	for i := range d.messages {
		if m := &d.messages[i]; fits(m) {
			uids = append(uids, m.uid)
		}
	}
	slices.Sort(uids)
	return uids
}

// locks are the maildrops that a session has for itself.
type locks struct {
	mu   sync.Mutex
	held map[mail.Address]bool
}

func (l *locks) take(a mail.Address) (unlock func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[a] {
		return nil, false
	}
	l.held[a] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, a)
	}, true
}
