package durable_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/durabletest"
)

func TestWatchedConforms(t *testing.T) {
	t.Parallel()
	durabletest.Run(t, func(t *testing.T) durable.FS {
		return durable.Watched(crashfs.New(), func(err error) { t.Errorf("a fault is seen in %v", err) })
	})
}

// TestWatchedReports holds that a fault of any operation is heard of, and
// nothing else.
func TestWatchedReports(t *testing.T) {
	t.Parallel()
	disk := crashfs.New()
	var heard []error
	fsys := durable.Watched(disk, func(err error) { heard = append(heard, err) })
	f, err := fsys.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	unnamed, err := fsys.CreateUnnamed(".", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	sub := func() error { _, err := fsys.Sub("."); return err }
	ignore := func(_ any, err error) error { return err }
	operations := map[string]func() error{
		"open": func() error { return ignore(fsys.OpenFile("f", os.O_RDONLY, 0)) }, "sub": sub,
		"mkdir": func() error { return fsys.Mkdir("d", 0o700) }, "rename": func() error { return fsys.Rename("f", "g") },
		"link": func() error { return fsys.Link("f", "g") }, "symlink": func() error { return fsys.Symlink("f", "g") },
		"readlink": func() error { return ignore(fsys.Readlink("g")) }, "remove": func() error { return fsys.Remove("f") },
		"list": func() error { return ignore(fsys.ReadDirNames(".")) }, "stat": func() error { return ignore(fsys.Stat("f")) },
		"lstat": func() error { return ignore(fsys.Lstat("f")) }, "chown": func() error { return fsys.Chown("f", 1, 1) },
		"chtimes": func() error { return fsys.Chtimes("f", time.Time{}, time.Time{}) },
		"syncdir": func() error { return fsys.SyncDir(".") }, "barrier": fsys.Barrier,
		"read": func() error { return ignore(f.Read(make([]byte, 1))) }, "readat": func() error { return ignore(f.ReadAt(make([]byte, 1), 0)) },
		"write": func() error { return ignore(f.Write([]byte("x"))) }, "writeat": func() error { return ignore(f.WriteAt([]byte("x"), 0)) },
		"sync": f.Sync, "syncdata": f.SyncData, "truncate": func() error { return f.Truncate(0) },
		"unnamed": func() error { return ignore(fsys.CreateUnnamed(".", 0o600)) }, "name": func() error { return unnamed.Link("n") },
		"list entries": func() error { return ignore(fsys.ReadDir(".")) },
		"rename many":  func() error { return ignore(fsys.RenameIn(".", []durable.NewName{{Old: "f", New: "g"}})) },
		"remove many":  func() error { return ignore(fsys.RemoveIn(".", []string{"f"})) },
		"own":          func() error { return f.Chown(1, 1) },
	}
	for _, tt := range []struct {
		fault error
		heard int
	}{{syscall.EIO, 1}, {syscall.EROFS, 1}, {syscall.ENOSPC, 0}} {
		disk.Inject(func(crashfs.Op) error { return tt.fault })
		for name, operation := range operations {
			heard = nil
			if err := operation(); !errors.Is(err, tt.fault) || len(heard) != tt.heard {
				t.Errorf("%s fails with %v: heard %v", name, err, heard)
			}
		}
	}
}
