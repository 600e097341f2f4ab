package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gomaild/mail"
	"gomaild/storage"
)

// TestMaildropOpensNoFile holds that sizes come from the names: the files are
// empty, whatever their names say. 20 000 of them are a matter of the uidlist.
func TestMaildropOpensNoFile(t *testing.T) {
	t.Parallel()
	const count = 20_000
	root := t.TempDir()
	home := filepath.Join(root, "example.test", "alice@example.test")
	for _, dir := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count {
		name := fmt.Sprintf("%d.M1P1.host,S=%d,W=%d:2,S", 1_700_000_000+i, 1000+i, 2000+i)
		if err := os.WriteFile(filepath.Join(home, "cur", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := New(Config{FS: newRoot(t, root), Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: "alice", Domain: "example.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	box, err := a.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	v, err := box.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := box.Maildrop(t.Context(), v)
	if err != nil || len(list) != count {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	for i, e := range list {
		if e.WireSize != int64(2000+i) {
			t.Fatalf("message %d: %+v", i+1, e)
		}
	}
}
