package local_test

import (
	"context"
	"errors"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// files is a Filter that stores in folders, in order.
type files []string

func (f files) Filter(context.Context, local.Question) (local.Verdict, error) {
	var v local.Verdict
	for _, name := range f {
		v.Stores = append(v.Stores, local.Store{Folder: name})
	}
	return v, nil
}

// TestNoRoomForAllCopies holds that of several copies none is stored where not
// all fit: the sender comes again and would bring the first once more.
func TestNoRoomForAllCopies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		copies files
		max    int64
		code   int
		want   int64
	}{
		{"room for one", files{"INBOX"}, int64(len(text)) + 9, 0, 1},
		{"not for two", files{"INBOX", "Lists"}, int64(len(text)) + 9, 552, 0},
		{"for two", files{"INBOX", "Lists"}, 2*int64(len(text)) + 9, 0, 2},
	} {
		limits := storage.Limits{Counted: true, Max: storage.Usage{Bytes: tt.max}}
		owner := func(m accounts.Mailbox) storage.Owner { return storage.Owner{Address: m.Address, Limits: limits} }
		store := &memory.Store{}
		a := local.New(local.Config{Store: store, Owner: owner, Filter: tt.copies})
		err := a.Deliver(t.Context(), message(text), []local.Recipient{to(alice)})[0]
		code := 0
		if err != nil {
			code = mail.StatusOf(err).Code
		}
		account, openErr := store.Account(t.Context(), owner(accounts.Mailbox{Address: alice}))
		if openErr != nil {
			t.Fatal(openErr)
		}
		q, quotaErr := account.Quota(t.Context())
		if code != tt.code || q.Used.Messages != tt.want || errors.Join(quotaErr, account.Close()) != nil {
			t.Errorf("%s: answered %v, the account holds %d, want %d and %d", tt.rule, err, q.Used.Messages, tt.code, tt.want)
		}
	}
}

// TestOneCopyIsEnough holds that a fault behind the first durable copy is not
// told to the sender, and one before it is.
func TestOneCopyIsEnough(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		copies files
		fails  bool
	}{
		{files{"INBOX", "Lists"}, false},
		{files{"Lists", "INBOX"}, true},
	} {
		store := newFake()
		store.fail["open Lists"] = errors.New("disk")
		a := local.New(local.Config{Store: store, Filter: tt.copies})
		err := a.Deliver(t.Context(), message(text), []local.Recipient{to(alice)})[0]
		stored := len(store.boxes[alice.String()+" INBOX"])
		if (err != nil) != tt.fails || (stored == 0) != tt.fails {
			t.Errorf("%q: answered %v, %d in INBOX", tt.copies, err, stored)
		}
	}
}
