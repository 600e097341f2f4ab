package maildir

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// full fails every write, as a disk without a free block does; names can still
// be made, changed and removed.
func full(o crashfs.Op) error {
	if o.Kind == "write" {
		return syscall.ENOSPC
	}
	return nil
}

// TestFullDisk holds that a full disk locks nobody out: what has its UID is
// shown and can be deleted, and what came since is neither lost nor half there.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, warm := range []bool{false, true} {
		tree := crashfs.New()
		var log strings.Builder
		c := Config{FS: tree, Hostname: "here", Logger: slog.New(slog.NewTextHandler(&log, nil))}
		b := newBox(t, c)
		for _, subject := range []string{"a", "b", "c"} {
			b.append(subject)
		}
		b.quiet()
		b.must(b.Deliver(t.Context(), storagetest.Draft("new")))
		if !warm {
			b.close()
			b = newBox(t, c)
		}
		tree.Inject(full)

		if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("on a full disk the mailbox holds %q", got)
		}
		if _, err := b.Append(t.Context(), storagetest.Draft("x")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("APPEND: %v", err)
		}
		if err := b.Deliver(t.Context(), storagetest.Draft("y")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("delivery: %v", err)
		}
		if _, err := b.SetFlags(t.Context(), []storage.UID{2}, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Deleted}, 0); err != nil {
			t.Errorf("STORE: %v", err)
		}
		b.must(b.Expunge(t.Context(), []storage.UID{2}))
		if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, []string{"a", "c"}) {
			t.Errorf("after EXPUNGE on a full disk: %q", got)
		}

		tree.Inject(nil)
		b.close()
		b = newBox(t, c)
		if got := storagetest.Subjects(t, b.Mailbox); !slices.Equal(got, []string{"a", "c", "new"}) {
			t.Errorf("with room again: %q", got)
		}
		if v := b.quiet(); v.Messages[2].UID != 4 || v.UIDNext != 5 {
			t.Errorf("UIDs %v, next %d", v.Messages, v.UIDNext)
		}
		if n := strings.Count(log.String(), "get no UIDs"); n != 1 {
			t.Errorf("said %d times that the disk is full: %s", n, &log)
		}
		b.close()
		if tree.OpenFiles() != 0 {
			t.Errorf("%d files are open", tree.OpenFiles())
		}
	}
}
