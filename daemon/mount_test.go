package daemon

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"gomaild/cluster"
	"gomaild/internal/config"
	"gomaild/internal/peertest"
)

// Without a journal nothing is open for writing, and the kernel lets the mount
// become read-only, as a file system does by itself after an error.
const mounted = "[storage]\njournal = \"0B\"\nmount = true\nfile_system = \"tmpfs\"\ncluster = \"mail-1\"\nroot = \"mail\"\n"

func (w *world) mount(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("tmpfs", w.path("mail"), "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(w.path("mail"), syscall.MNT_DETACH) })
}

// mountedConfig is that of a node; other is what differs.
func (w *world) mountedConfig(t *testing.T, other ...string) *config.Config {
	t.Helper()
	head := strings.NewReplacer(other...).Replace(mounted)
	text := `hostname = "mail.example.test"` + "\nrun_dir = \"run\"\ngrace = \"10s\"\naccounts.path = \"accounts.sqlite\"\n" + head + listeners
	file := w.path("gomaild.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startError is how a start on c ends, which is stopped if it succeeds.
func startError(t *testing.T, c *config.Config) error {
	t.Helper()
	d, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Start(t.Context())
	return errors.Join(err, d.Stop(t.Context()))
}

// TestMountGuard holds that only the right mail is served.
func TestMountGuard(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newWorld(t)
	c := w.mountedConfig(t)
	want := func(rule string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || want != nil && (strings.Contains(err.Error(), "\n") || !config.IsFault(err)) {
			t.Errorf("%s: %v, want %v", rule, err, want)
		}
	}
	want("nothing mounted", startError(t, c), cluster.ErrNotMounted)
	want("init with nothing mounted", MarkMailRoot(c), cluster.ErrNotMounted)
	if left, err := os.ReadDir(w.path("mail")); len(left) > 0 || err != nil {
		t.Errorf("in the directory below the mount: %v, %v", left, err)
	}
	w.mount(t)
	want("no marker", startError(t, c), cluster.ErrUnmarked)
	if left, err := os.ReadDir(w.path("mail")); len(left) > 0 || err != nil {
		t.Errorf("in the unmarked root: %v, %v", left, err)
	}
	want("init", MarkMailRoot(c), nil)
	want("init again", MarkMailRoot(c), nil)
	want("the right one", startError(t, c), nil)
	other := w.mountedConfig(t, "mail-1", "mail-2")
	want("another cluster's", startError(t, other), cluster.ErrForeign)
	want("init of another cluster's", MarkMailRoot(other), cluster.ErrForeign)
	want("another kind of file system", startError(t, w.mountedConfig(t, "tmpfs", "ext4")), cluster.ErrFileSystem)
	if err := startError(t, w.mountedConfig(t, "mail-1", "mail 1")); !config.IsFault(err) || !strings.Contains(err.Error(), "storage.cluster: ") {
		t.Errorf("an id that is none: %v", err)
	}
	if _, err := OpenMailRoot(other); !errors.Is(err, cluster.ErrForeign) {
		t.Errorf("beside the daemon: %v", err)
	}
}

// TestWatchdog holds that a daemon asks to be ended when its mount is no more
// what it was.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	for _, tt := range []struct {
		fault string
		act   func(dir string) error
		want  error
	}{
		{"becomes read-only", func(dir string) error {
			return syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
		}, cluster.ErrReadOnly},
		{"vanishes", func(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, cluster.ErrGone},
		{"is covered", func(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "") }, cluster.ErrGone},
	} {
		w := newWorld(t)
		w.mount(t)
		c := w.mountedConfig(t)
		if err := MarkMailRoot(c); err != nil {
			t.Fatal(err)
		}
		d, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tt.act(w.path("mail")); err != nil {
			t.Fatal(err)
		}
		if err := <-d.Ending(); !errors.Is(err, tt.want) && !errors.Is(err, syscall.EROFS) {
			t.Errorf("the mount %s: %v, want %v", tt.fault, err, tt.want)
		}
		_ = d.Stop(t.Context()) // what it says depends on the fault
		_ = syscall.Unmount(w.path("mail"), syscall.MNT_DETACH)
	}
}
