package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/internal/peertest"
)

// What FIFREEZE and FITHAW of linux/fs.h are on this kernel.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// TestHungDisk: a real file system is frozen under a running server, so that
// writes neither return nor fail. The agent's monitor hears so long before its
// timeout. The server says so in one line, closes its listeners and ends with 74; the kernel lets the process go when the file system
// is thawed, since nothing else ends a write.
func TestHungDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root mounts and freezes a file system")
	}
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newWorld(t, "")
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, w.config, strings.Replace(string(text), "[storage]\n", "[storage]\nmount = true\ncluster = \"hung\"\ndisk_timeout = \"8s\"\n", 1))
	image := filepath.Join(w.dir, "image")
	writeFile(t, image, "")
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", peertest.Need(t, "/usr/sbin/mkfs.ext4", "e2fsprogs"), "-q", "-F", image)
	peertest.Run(t, "", "mount", "-o", "loop", image, w.root)
	t.Cleanup(func() { _ = unix.Unmount(w.root, unix.MNT_DETACH) })
	peertest.Run(t, "", gomaild(t), "cluster", "init", "-c", w.config)
	w.start(t)
	freeze(t, w.root, fiFreeze)
	frozen := time.Now()
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = true
			freeze(t, w.root, fiThaw)
		}
	}
	defer thaw()
	monitor := exec.CommandContext(t.Context(), gomaild(t), "ocf", "monitor")
	monitor.Env = append(os.Environ(), "OCF_RESKEY_config="+w.config, "OCF_CHECK_LEVEL=10", "OCF_RESKEY_CRM_meta_timeout=60000")
	out, _ := monitor.CombinedOutput() // the status is looked at
	if took := time.Since(frozen); monitor.ProcessState.ExitCode() != 1 || took > 30*time.Second ||
		!strings.Contains(string(out), "ocf-exit-reason:the disk has not answered for ") {
		t.Errorf("after %v the monitor says %d, %s", took, monitor.ProcessState.ExitCode(), out)
	}
	until(t, "says that the disk hangs", func() bool {
		return strings.Contains(w.readLog(t), `msg="ending at once" error="the disk of the mail has not answered for `)
	})
	until(t, "listens no more", func() bool {
		conn, err := net.Dial("tcp", w.addr(w.mx))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	thaw()
	err = <-w.ended
	w.cmd = nil
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 74 {
		t.Errorf("it ended with %v, want exit status 74", err)
	}
	if n := strings.Count(w.readLog(t), "level=ERROR"); n != 1 {
		t.Errorf("%d lines of errors, want one", n)
	}
}

// freeze freezes or thaws the file system of a directory.
func freeze(t *testing.T, dir string, how uint) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), how, 0); err != nil {
		t.Fatal(err)
	}
}

// until asks again and again, for a minute.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within a minute: it %s", what)
		}
	}
}
