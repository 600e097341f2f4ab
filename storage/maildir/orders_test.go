package maildir

import (
	"bytes"
	"path"
	"slices"
	"testing"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/index"
	"gomaild/storage/storagetest"
)

// fixedOrder is something to be kept.
type fixedOrder struct {
	of     []storage.UID
	octets []byte
}

func (o *fixedOrder) Of() []storage.UID          { return o.of }
func (o *fixedOrder) AppendTo(dst []byte) []byte { return append(dst, o.octets...) }

// newOrders is newKeeping where an order of INBOX was kept.
func newOrders(t *testing.T) *keeping {
	t.Helper()
	k := newKeeping(t)
	m := k.open("INBOX")
	k.read(m, "a b c", 0)
	m.Memo().Store("order", &fixedOrder{[]storage.UID{1, 2, 3}, []byte("cab")})
	m.Memo().Store("passing", 1)
	k.close(m)
	k.restart()
	return k
}

// recall is what of the order comes back, "" if nothing does.
func (k *keeping) recall(mailbox string) string {
	k.t.Helper()
	m := k.open(mailbox)
	defer k.close(m)
	if _, err := m.View(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	if v, ok := m.Memo().Load("order").(*storage.Kept); ok && slices.Equal(v.UIDs, []storage.UID{1, 2, 3}) {
		return string(v.Octets)
	}
	return ""
}

// TestOrdersAreKept holds that what is remembered of a mailbox outlives its memory,
// also what was only read back, and when messages come and go.
func TestOrdersAreKept(t *testing.T) {
	t.Parallel()
	k := newOrders(t)
	for range 2 {
		if got := k.recall("INBOX"); got != "cab" {
			t.Errorf("%q came back", got)
		}
		k.restart()
	}
	m := k.open("INBOX")
	if err := m.Expunge(t.Context(), []storage.UID{2}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(t.Context(), storagetest.Draft("d")); err != nil {
		t.Fatal(err)
	}
	k.read(m, "a c d", 1)
	m.Memo().Store("other", &fixedOrder{[]storage.UID{1}, nil})
	k.close(m)
	k.restart()
	if got := k.recall("INBOX"); got != "cab" {
		t.Errorf("after a change: %q came back", got)
	}
	k.restart()
}

// TestOrdersDamaged holds that a damaged file is as good as none, and is replaced.
func TestOrdersDamaged(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func([]byte) []byte{
		"an octet":        func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
		"another version": func(data []byte) []byte { data[len("gomaild orders ")]++; return data },
		"half of it":      func(data []byte) []byte { return data[:len(data)/2] },
		"empty":           func([]byte) []byte { return nil },
		"zeros":           func(data []byte) []byte { return make([]byte, len(data)) },
		"too long":        func(data []byte) []byte { return append(data, make([]byte, maxOrders)...) },
	} {
		k := newOrders(t)
		k.edit(ordersFile, change)
		if got := k.recall("INBOX"); got != "" {
			t.Errorf("%s: %q came back", what, got)
		}
		m := k.open("INBOX")
		k.read(m, "a b c", 0)
		m.Memo().Store("order", &fixedOrder{[]storage.UID{1, 2, 3}, []byte("bca")})
		k.close(m)
		k.restart()
		if got := k.recall("INBOX"); got != "bca" {
			t.Errorf("%s: then %q came back", what, got)
		}
		k.restart()
	}
}

// TestOrdersOfOthers: an order is believed only for the files that it was of.
func TestOrdersOfOthers(t *testing.T) {
	t.Parallel()
	k := newOrders(t)
	a := k.account()
	if err := a.Create(t.Context(), "Other"); err != nil {
		t.Fatal(err)
	}
	o := k.open("Other")
	if _, err := o.Append(t.Context(), storagetest.Draft("x")); err != nil {
		t.Fatal(err)
	}
	data, err := durable.ReadFile(k.fs, path.Join("example.org/alice@example.org", ordersFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(k.fs, path.Join("example.org/alice@example.org/.Other", ordersFile), data, fileMode); err != nil {
		t.Fatal(err)
	}
	k.close(o)
	if got := k.recall("Other"); got != "" {
		t.Errorf("%q came back", got)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	k.restart()
}

// TestOrdersAreBounded holds that the file does not grow without end.
func TestOrdersAreBounded(t *testing.T) {
	t.Parallel()
	k := newOrders(t)
	m := k.open("INBOX")
	k.read(m, "a b c", 0)
	for _, key := range []string{"first", "order", "last"} {
		m.Memo().Store(key, &fixedOrder{[]storage.UID{1, 2, 3}, bytes.Repeat([]byte(key[:1]), maxOrders*2/5)})
	}
	k.close(m)
	k.restart()
	data, err := durable.ReadFile(k.fs, path.Join("example.org/alice@example.org", ordersFile))
	if err != nil || len(data) > maxOrders {
		t.Fatalf("%d octets, %v", len(data), err)
	}
	var keys []string
	for _, o := range index.ParseOrders(data) {
		keys = append(keys, o.Key)
	}
	if !slices.Equal(keys, []string{"order", "last"}) {
		t.Errorf("kept are %q", keys)
	}
}
