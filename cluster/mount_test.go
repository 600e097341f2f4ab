package cluster

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/peertest"
)

func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // it may be gone
}

func TestLookAtMount(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	dir := t.TempDir()
	look := func(rule, kind string, want error) *Mount {
		t.Helper()
		m, err := LookAtMount(dir, kind)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", rule, err, want)
		}
		return m
	}
	look("a directory", "", ErrNotMounted)
	mountTmpfs(t, dir)
	m := look("any kind", "", nil)
	open, err := durable.OpenRoot(dir) // as a daemon has it: the kernel gives its number to no other
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if m.Type != "tmpfs" || m.Source != "tmpfs" || m.Path != dir {
		t.Errorf("it is called %+v", m)
	}
	look("the right kind", "tmpfs", nil)
	look("another kind", "ext4", ErrFileSystem)
	if err := m.Check(); err != nil {
		t.Error(err)
	}

	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	look("read-only", "", ErrReadOnly)
	if err := m.Check(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Check of what became read-only: %v", err)
	}
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); !errors.Is(err, ErrGone) {
		t.Errorf("Check of what was unmounted: %v", err)
	}
	mountTmpfs(t, dir)
	if err := m.Check(); !errors.Is(err, ErrGone) {
		t.Errorf("Check of what was mounted anew: %v", err)
	}
	dir += "/missing"
	look("nothing", "", os.ErrNotExist)
}

// TestMountHolds holds that what was opened is what was looked at.
func TestMountHolds(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	dir := t.TempDir()
	below, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, dir)
	m, err := LookAtMount(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	on, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Holds(on); err != nil {
		t.Error(err)
	}
	if err := m.Holds(below); !errors.Is(err, ErrGone) {
		t.Errorf("the directory below the mount: %v", err)
	}
	if err := errors.Join(on.Close(), below.Close()); err != nil {
		t.Error(err)
	}
}

func TestParseMount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want mounted
		ok   bool
	}{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", mounted{36, "/mnt2", "ext3", "/dev/root"}, true},
		{"36 35 98:0 / /srv/mail rw,noatime - ext4 /dev/drbd0 rw", mounted{36, "/srv/mail", "ext4", "/dev/drbd0"}, true},
		{`36 35 0:5 / /a\040b\134c rw shared:1 master:2 - fuse.sshfs a\011b rw`, mounted{36, `/a b\c`, "fuse.sshfs", "a\tb"}, true},
		{"36 35 98:0 / /x rw - tmpfs  rw", mounted{36, "/x", "tmpfs", ""}, true},
		{"", mounted{}, false},
		{"36 35 98:0 / /x rw master:1 ext4 /dev/x rw", mounted{}, false},
		{"36 35 98:0 / /x - ext4 /dev/x rw", mounted{}, false},
		{"x 35 98:0 / /x rw - ext4 /dev/x rw", mounted{}, false},
		{"36 35 98:0 / /x rw - ext4", mounted{}, false},
	} {
		got, err := parseMount(tt.line)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %+v, %v", tt.line, got, err)
		}
	}
}

func TestFindMount(t *testing.T) {
	t.Parallel()
	const table = "36 35 98:0 / /a rw - ext4 /dev/a rw\n37 35 98:0 / /b rw - xfs /dev/b rw\n"
	if m, err := findMount(strings.NewReader(table), 37); err != nil || m.kind != "xfs" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := findMount(strings.NewReader(table), 38); err == nil {
		t.Error("a mount that is not in the table is found")
	}
	if _, err := findMount(strings.NewReader("x\n"), 38); !errors.Is(err, errMountLine) {
		t.Errorf("a table of nonsense: %v", err)
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue")
	f.Add(`36 35 0:5 / /a\040b rw shared:1 - fuse a rw`)
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parseMount(line)
		if err == nil && strings.Contains(m.kind, " ") {
			t.Errorf("%+v", m)
		}
	})
}
