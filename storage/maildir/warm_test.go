package maildir

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// listReads counts how often a uidlist is read.
type listReads struct {
	durable.FS
	n int
}

func (l *listReads) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	if path.Base(name) == uidListFile && flag == 0 {
		l.n++
	}
	return l.FS.OpenFile(name, flag, perm)
}

// TestWarm holds that a mailbox that was closed is not read again, unless it
// changed, and that its index is written when it is let go.
func TestWarm(t *testing.T) {
	root := newRoot(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		disk := &listReads{FS: root}
		s, err := New(Config{FS: disk, Hostname: "here.test", Warm: warmBox + 10})
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Account(ctx, storagetest.Alice())
		if err != nil {
			t.Fatal(err)
		}
		open := func(name string) (storage.Mailbox, *storage.View) {
			m, err := a.Open(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			v, err := m.View(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return m, v
		}
		closed := func(m storage.Mailbox) {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		isIndexed := func() bool {
			_, err := root.Stat("example.org/alice@example.org/" + indexFile)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return err == nil
		}
		m, _ := open("INBOX")
		if _, err := m.Append(ctx, storagetest.Draft("a")); err != nil {
			t.Fatal(err)
		}
		m2, before := open("INBOX")
		closed(m2)
		closed(m)
		m3, _ := open("INBOX")
		closed(m3)
		reads := disk.n
		m, v := open("INBOX")
		if disk.n != reads || v.HighestModSeq != before.HighestModSeq {
			t.Errorf("uidlist read %d times more, MODSEQ %d, was %d", disk.n-reads, v.HighestModSeq, before.HighestModSeq)
		}
		closed(m)
		if err := a.Create(ctx, "Other"); err != nil {
			t.Fatal(err)
		}
		other, _ := open("Other")
		closed(other)
		if err := a.Delete(ctx, "Other"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Open(ctx, "Other"); !errors.Is(err, storage.ErrNoMailbox) {
			t.Errorf("a mailbox that was deleted: %v", err)
		}
		time.Sleep(3 * warmFor)
		synctest.Wait()
		if n := s.warmth.boxes.Len(); n != 0 {
			t.Errorf("%d mailboxes are warm after %v", n, 3*warmFor)
		}
		m, _ = open("INBOX")
		for range 10 {
			if _, err := m.Append(ctx, storagetest.Draft("more")); err != nil {
				t.Fatal(err)
			}
		}
		closed(m)
		m, v = open("INBOX")
		if len(v.Messages) != 11 {
			t.Error(len(v.Messages))
		}
		closed(m)
		if n := s.warmth.boxes.Len(); n != 0 {
			t.Errorf("a mailbox above the limit is kept")
		}
		if !isIndexed() {
			t.Error("no index after the mailbox was let go")
		}
		if err := errors.Join(a.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	})
}
