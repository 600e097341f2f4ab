package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/internal/durable/durabletest"
)

func TestFencedConforms(t *testing.T) {
	t.Parallel()
	durabletest.Run(t, func(*testing.T) durable.FS {
		return durable.Fenced(crashfs.New(), func() error { return nil })
	})
}

func TestFencedRefuses(t *testing.T) {
	t.Parallel()
	var stale error
	errStale := errors.New("stale")
	fsys := durable.Fenced(crashfs.New(), func() error { return stale })
	if err := durable.MkdirAll(fsys, "dir", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(fsys, "dir/file", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	sub, err := fsys.Sub("dir")
	if err != nil {
		t.Fatal(err)
	}
	unnamed, err := fsys.CreateUnnamed("dir", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	stale = errStale
	create := func() error { _, err := fsys.CreateUnnamed("dir", 0o600); return err }
	renameIn := func() error {
		_, err := fsys.RenameIn("dir", []durable.NewName{{Old: "file", New: "new"}})
		return err
	}
	open := func(fsys durable.FS, name string, flag int) error {
		f, err := fsys.OpenFile(name, flag, 0o600)
		if err == nil {
			err = f.Close()
		}
		return err
	}
	for _, tt := range []struct {
		what string
		err  error
		want error
	}{
		{"make a file", open(fsys, "new", os.O_WRONLY|os.O_CREATE), errStale},
		{"append to a file", open(fsys, "dir/file", os.O_WRONLY|os.O_APPEND), errStale},
		{"open to write", open(sub, "file", os.O_RDWR), errStale},
		{"rename", fsys.Rename("dir/file", "dir/new"), errStale},
		{"rename below a Sub", sub.Rename("file", "new"), errStale},
		{"rename many", renameIn(), errStale},
		{"link", fsys.Link("dir/file", "dir/new"), errStale},
		{"make a file without a name", create(), errStale},
		{"name it", unnamed.Link("dir/new"), errStale},
		{"let go of it", unnamed.Close(), nil},
		{"symlink", fsys.Symlink("dir", "new"), errStale},
		{"mkdir", fsys.Mkdir("new", 0o700), errStale},
		{"read", open(fsys, "dir/file", os.O_RDONLY), nil},
		{"remove", fsys.Remove("dir/file"), nil},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.err, tt.want)
		}
		if _, ok := errors.AsType[*fs.PathError](tt.err); tt.err != nil && !ok {
			t.Errorf("%s: %T is no *fs.PathError", tt.what, tt.err)
		}
	}
}
