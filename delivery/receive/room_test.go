package receive

import (
	"context"
	"testing"

	"gomaild/accounts"
	"gomaild/mail"
)

// TestRoom holds that a recipient is refused when none of its mailboxes has
// room for half of SIZE.
func TestRoom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		to   string
		full map[string]int
		size int64
		code int // 0: taken
	}{
		{"room", "bob@example.org", nil, 100, 0},
		{"full", "bob@example.org", map[string]int{"bob@example.org": 552}, 100, 552},
		{"a list with one who has room", "team@example.org", map[string]int{"bob@example.org": 552}, 100, 0},
		{"a list without", "team@example.org", map[string]int{"bob@example.org": 552, "alice@example.org": 552}, 100, 552},
		{"temporary comes first", "team@example.org", map[string]int{"bob@example.org": 552, "alice@example.org": 451}, 100, 451},
		{"half of SIZE fits", "bob@example.org", nil, 1000, 0},
		{"half of SIZE does not fit", "bob@example.org", nil, 1002, 552},
	} {
		b := newBench()
		b.config.Room = func(_ context.Context, m accounts.Mailbox, size int64) error {
			code := tt.full[m.Address.String()]
			if size > 500 {
				code = 552
			}
			if code == 0 {
				return nil
			}
			return &mail.Status{Code: code, Enhanced: map[int]string{552: "5.2.2", 451: "4.3.0"}[code], Text: "full"}
		}
		tx, err := NewMX(b.config).Begin(t.Context(), client, mail.ReversePath{Size: tt.size})
		if err != nil {
			t.Fatal(err)
		}
		err = tx.AddRecipient(t.Context(), mail.Recipient{Address: address(tt.to)})
		tx.Abort()
		got := 0
		if err != nil {
			got = mail.StatusOf(err).Code
		}
		if got != tt.code {
			t.Errorf("%s: %v", tt.rule, err)
		}
	}
}
