package local_test

import (
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// TestFull holds the answers about an account that is full, at RCPT and at
// delivery.
func TestFull(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule     string
		limits   storage.Limits
		size     int64
		defers   bool
		code     int // of both answers, 0 for none
		admitted bool
	}{
		{"nobody counts", storage.Limits{Max: storage.Usage{Bytes: 1}}, 1 << 40, false, 0, true},
		{"room", storage.Limits{Counted: true, Max: storage.Usage{Bytes: 1 << 20}}, 0, false, 0, true},
		{"full", storage.Limits{Counted: true, Max: storage.Usage{Bytes: 10}}, 11, false, 552, false},
		{"full, for now", storage.Limits{Counted: true, Max: storage.Usage{Bytes: 10}}, 11, true, 452, false},
		{"full, as it turns out", storage.Limits{Counted: true, Max: storage.Usage{Bytes: 10}}, 0, false, 552, true},
	} {
		a := local.New(local.Config{
			Store:      &memory.Store{},
			FullDefers: tt.defers,
			Owner:      func(m accounts.Mailbox) storage.Owner { return storage.Owner{Address: m.Address, Limits: tt.limits} },
		})
		check := func(what string, err error, code int) {
			t.Helper()
			got := 0
			if err != nil {
				got = mail.StatusOf(err).Code
			}
			if got != code {
				t.Errorf("%s: %s: %v", tt.rule, what, err)
			}
		}
		code := tt.code
		if tt.admitted {
			code = 0
		}
		check("RCPT", a.Admit(t.Context(), accounts.Mailbox{Address: alice}, tt.size), code)
		check("delivery", a.Deliver(t.Context(), message(text), []local.Recipient{to(alice)})[0], tt.code)
	}
}
