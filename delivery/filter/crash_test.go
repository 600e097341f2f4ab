package filter_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// TestPowerCutsOfMemory cuts the power after every operation of an answer. On
// the other node then: whoever was answered is not answered again, what was
// remembered before is remembered, and the file can be read.
func TestPowerCutsOfMemory(t *testing.T) {
	t.Parallel()
	crashes := 0
	for cut := int64(1); ; cut++ {
		disk := crashfs.New()
		if err := disk.Mkdir("bob", 0o700); err != nil {
			t.Fatal(err)
		}
		script := `require ["vacation","duplicate","fileinto"]; vacation "away"; if duplicate { fileinto "again"; }`
		if err := durable.WriteFile(disk, "bob/.dovecot.sieve", []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := disk.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		first := newNode(t, disk)
		if where := first.deliver(t, "ann", 1); where != "" || len(first.sent) != 1 {
			t.Fatalf("before the cut: in %q, %d answers", where, len(first.sent))
		}
		disk.CutAfter(cut)
		first.deliver(t, "cd", 2)
		answered := len(first.sent) > 1
		_, offErr := disk.Lstat("bob")
		done := offErr == nil // the power is still on
		for _, survival := range crashfs.Survivals() {
			crashes++
			at := fmt.Sprintf("cut %d, %v", cut, survival)
			second := newNode(t, disk.Crash(survival))
			if where := second.deliver(t, "ann", 1); where != "again" || len(second.sent) > 0 {
				t.Errorf("%s: what was remembered before: in %q, %d answers", at, where, len(second.sent))
			}
			if second.deliver(t, "cd", 3); answered && len(second.sent) > 0 {
				t.Errorf("%s: answered twice", at)
			}
		}
		if done {
			break
		}
	}
	if crashes < 20 {
		t.Errorf("only %d crashes", crashes)
	}
}

// node is a filter over a disk, and whom it answered.
type node struct {
	f    *filter.Filter
	acc  storage.Account
	sent []string
}

func newNode(t *testing.T, disk durable.FS) *node {
	t.Helper()
	n := &node{}
	n.f = filter.New(filter.Config{
		FS: disk, UID: -1, GID: -1,
		Home: func(storage.Owner) (string, error) { return "bob", nil },
		Now:  func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
		Submit: func(_ context.Context, _ string, _ mail.ReversePath, to []mail.Address, _ message.Content) error {
			n.sent = append(n.sent, to[0].String())
			return nil
		},
	})
	var err error
	if n.acc, err = new(memory.Store).Account(t.Context(), storage.Owner{Address: bob}); err != nil {
		t.Fatal(err)
	}
	return n
}

// deliver is the folder of the last copy; faults are those of a power cut.
func (n *node) deliver(t *testing.T, from string, id int) string {
	t.Helper()
	sender := mail.Address{Local: from, Domain: "example.org"}
	v, err := n.f.Filter(t.Context(), local.Question{
		Recipient: local.Recipient{Mailbox: accounts.Mailbox{Address: bob}},
		From:      mail.ReversePath{Address: sender},
		Content:   strings.NewReader(fmt.Sprintf("From: %s\r\nTo: bob@example.net\r\nMessage-ID: <%d@example.org>\r\n\r\nx\r\n", sender, id)),
		Account:   n.acc,
	})
	if v.Close != nil {
		defer v.Close()
	}
	if err != nil || len(v.Stores) == 0 {
		return "fault"
	}
	if v.Done != nil {
		v.Done(t.Context())
	}
	return v.Stores[len(v.Stores)-1].Folder
}
