// Package peertest helps tests that drive real programs: it says when one is
// missing, runs commands within a time, writes programs, and finds ports that are
// free.
//
// Rule: nothing skips silently. As root or in CI, where `make test` installs
// the packages, a missing program is a failure; elsewhere .ci/packages has
// named it loudly before the tests began, and the test is skipped.
package peertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Need returns the path of a program, which the named Debian package has. Some
// live outside PATH: program may be a path.
func Need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getuid() == 0 || os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: apt-get install %s (make test does)", program, debianPackage)
	}
	t.Skipf("SKIPPED: %s is missing: apt-get install %s", program, debianPackage)
	return ""
}

// patience is for one command: even the slowest takes seconds, but a machine
// that does other work besides may take many times that.
const patience = 5 * time.Minute

// Run runs a command for at most five minutes and returns its standard output. If
// it fails the test fails, with all that it printed.
func Run(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	out, errOut, err := Try(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, errOut)
	}
	return out
}

// Try is Run for a command that may fail.
func Try(t testing.TB, stdin string, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// FreePort is a TCP port on loopback that nobody listens on now, and that no
// other test of this machine is given until this one ends. It lies below those
// that the kernel gives to outgoing connections, so that a server that is killed
// can have it again.
func FreePort(t testing.TB) int {
	t.Helper()
	port, release, err := ClaimPort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}

// ClaimPort is FreePort for who has no test: the port is its own until release.
func ClaimPort() (port int, release func(), err error) {
	const first, ports, tries = 10_000, 20_000, 1000
	for range tries {
		port := first + rand.IntN(ports)
		release, err := claim(port)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if isFree(port) {
			return port, release, nil
		}
		release()
	}
	return 0, nil, fmt.Errorf("no free port in %d tries", tries)
}

// isFree listens on the port for a moment. No process is made meanwhile: a child
// has the sockets of its parent until its program begins, and would go on listening.
func isFree(port int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && l.Close() == nil
}

// WriteProgram writes an executable file. No process is made meanwhile: a child
// would have the file open for writing until its own program begins, and nobody can
// run it then ("text file busy").
func WriteProgram(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// staleClaim is when a claim is nobody's any more: its test was killed.
const staleClaim = time.Hour

// claim takes a port by a file that only one can make, else fs.ErrExist.
func claim(port int) (release func(), err error) {
	dir := filepath.Join(os.TempDir(), "gomaild-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, strconv.Itoa(port))
	if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > staleClaim {
		_ = os.Remove(name) // if another was faster, the next step fails
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(name) }, f.Close()
}

// ThreadTime is the processor time that f takes, which other work on the machine does
// not lengthen. What f starts in other goroutines does not count.
func ThreadTime(t testing.TB, f func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	spent := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	f()
	return spent() - before
}
