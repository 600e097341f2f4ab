package imap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gomaild/imap/thread"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// TestOrdersOnDisk holds that orders and threads that were kept are those that would
// be found anew, after a restart.
func TestOrdersOnDisk(t *testing.T) {
	t.Parallel()
	root, err := durable.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var said [2][]string
	for turn := range said {
		store, err := maildir.New(maildir.Config{FS: root, Special: []maildir.SpecialFolder{}})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldOn(t, store, nil)
		account, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: "alice", Domain: "example.test"}})
		if err != nil {
			t.Fatal(err)
		}
		box, err := account.Open(t.Context(), "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		if turn == 0 {
			_, err = box.AppendAll(t.Context(), func(yield func(storage.Draft) bool) {
				for i := range memoFrom + 20 {
					text := fmt.Sprintf("Subject: topic %d\r\nMessage-ID: <%d@example.test>\r\nReferences: <%d@example.test>\r\n\r\ntext\r\n", i*7919%101, i, i*31%(i+1))
					if !yield(storage.Draft{Content: strings.NewReader(text)}) {
						return
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		view, err := box.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"SORT  SUBJECTfalse", "THREAD REFERENCES", "THREAD ORDEREDSUBJECT"} {
			if _, kept := box.Memo().Load(fmt.Sprint(view.UIDValidity, " ", kind)).(*storage.Kept); kept != (turn > 0) {
				t.Errorf("turn %d: %s was kept: %v", turn, kind, kept)
			}
		}
		c := w.login(w.listen())
		c.do("SELECT INBOX")
		for _, command := range []string{"SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL"} {
			got := c.do(command)
			i := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, "* SORT") || strings.HasPrefix(l, "* THREAD") })
			said[turn] = append(said[turn], got[i])
		}
		if err := errors.Join(box.Close(), account.Close()); err != nil {
			t.Fatal(err)
		}
		c.do("UNSELECT") // so that nobody has it open
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(said[0], said[1]) {
		t.Error("orders differ after a restart")
	}
}

// TestKeptForms holds the forms on disk: the same comes back, and what is damaged is
// nothing, or an order of the same messages.
func TestKeptForms(t *testing.T) {
	t.Parallel()
	uids := []storage.UID{3, 5, 9, 10}
	order := &inOrder{uids: uids, order: []int{2, 0, 3, 1}}
	octets := order.AppendTo(nil)
	if got := parseInOrder(uids, octets); got == nil || !slices.Equal(got.order, order.order) {
		t.Errorf("the order came back as %v", got)
	}
	leaf := func(n int) *thread.Node { return &thread.Node{Message: n} }
	threads := &inThreads{uids: uids, threads: []*thread.Node{
		{Message: -1, Children: []*thread.Node{leaf(3), {Message: 0, Children: []*thread.Node{leaf(1)}}}}, leaf(2),
	}}
	nodes := threads.AppendTo(nil)
	got := parseInThreads(uids, nodes)
	if got == nil || !bytes.Equal(got.AppendTo(nil), nodes) || got.threads[0].Children[1].Children[0].Message != 1 {
		t.Errorf("the threads came back as %v", got)
	}
	if got := parseInThreads(nil, (&inThreads{}).AppendTo(nil)); got == nil || len(got.threads) != 0 {
		t.Errorf("no threads are %v", got)
	}
	for i := range octets {
		for bit := range 8 {
			bad := bytes.Clone(octets)
			bad[i] ^= 1 << bit
			if parseInOrder(uids, bad) != nil {
				t.Errorf("%v passes for an order", bad)
			}
		}
	}
	for i := range nodes {
		for bit := range 8 {
			bad := bytes.Clone(nodes)
			bad[i] ^= 1 << bit
			if got := parseInThreads(uids, bad); got != nil && countMessages(got.threads) != len(uids) {
				t.Errorf("%v passes for threads of %d", bad, countMessages(got.threads))
			}
		}
		if parseInThreads(uids, nodes[:i]) != nil {
			t.Errorf("%d octets pass for threads", i)
		}
	}
}

func countMessages(nodes []*thread.Node) (n int) {
	for _, one := range nodes {
		if n += countMessages(one.Children); one.Message >= 0 {
			n++
		}
	}
	return n
}
