package maildir

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
)

// huge is a mail root in whose INBOX there are many messages, which cannot be
// opened: their names are made up.
type huge struct {
	durable.FS
	names   []string
	touched atomic.Int64 // files that somebody opened or looked at
}

func (h *huge) ReadDir(name string) ([]durable.Entry, error) {
	if name != alice+"cur" {
		return h.FS.ReadDir(name)
	}
	var entries []durable.Entry
	for _, n := range h.names {
		entries = append(entries, durable.Entry{Name: n, IsFile: true})
	}
	return entries, nil
}

func (h *huge) OpenFile(name string, flag int, mode fs.FileMode) (durable.File, error) {
	if strings.HasPrefix(name, alice+"cur/") {
		h.touched.Add(1)
	}
	return h.FS.OpenFile(name, flag, mode)
}

func (h *huge) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, alice+"cur/") {
		h.touched.Add(1)
	}
	return h.FS.Stat(name)
}

func (h *huge) ReadInto(name string, buf []byte) (int, error) {
	if strings.HasPrefix(name, alice+"cur/") {
		h.touched.Add(1)
	}
	return h.FS.ReadInto(name, buf)
}

// TestMaildropOpensNoFile holds that the list of a POP3 session with 100 000
// messages comes from names and the uidlist alone: no file is opened, nor looked
// at.
func TestMaildropOpensNoFile(t *testing.T) {
	t.Parallel()
	const count = 100_000
	tree := &huge{FS: crashfs.New()}
	first := newBox(t, Config{FS: tree, Hostname: "here"})
	first.close()
	var list strings.Builder
	fmt.Fprintf(&list, "3 V1700000000 N%d G%032d\n", count+1, 7)
	for i := range count {
		base := fmt.Sprintf("%d.M1P1.host,S=%d,W=%d", 1_700_000_000+i, 1000+i, 2000+i)
		tree.names = append(tree.names, base+":2,S")
		ext := ""
		switch i % 10 {
		case 3:
			ext = fmt.Sprintf("Pold-%d ", i)
		case 4:
			ext = "P O9 "
		}
		fmt.Fprintf(&list, "%d %s:%s\n", i+1, ext, base)
	}
	f, err := tree.FS.OpenFile(alice+uidListFile, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(list.String())); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	b := newBox(t, Config{FS: tree, Hostname: "here"})
	defer b.close()
	v := b.quiet()
	drop, err := b.Maildrop(t.Context(), v)
	if err != nil || len(drop) != count {
		t.Fatalf("%d messages, %v", len(drop), err)
	}
	for i, e := range drop {
		want := storage.MaildropEntry{UID: storage.UID(i + 1), WireSize: int64(2000 + i), Name: strings.TrimSuffix(tree.names[i], ":2,S")}
		switch i % 10 {
		case 3:
			want.UniqueID = fmt.Sprintf("old-%d", i)
		case 4:
			want.UniqueID, want.Order = want.Name, 9
		}
		if e != want {
			t.Fatalf("message %d: %+v, want %+v", i+1, e, want)
		}
	}
	if n := tree.touched.Load(); n != 0 {
		t.Errorf("%d files were opened or looked at", n)
	}
}
