// Package peertest helps tests that drive real programs: it says when one is
// missing, runs commands within a time, and finds ports that are free.
//
// Rule: nothing skips silently. As root or in CI, where `make test` installs
// the packages, a missing program is a failure; elsewhere .ci/packages has
// named it loudly before the tests began, and the test is skipped.
package peertest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
	const first, ports, tries = 10_000, 20_000, 1000
	for range tries {
		port := first + rand.IntN(ports)
		if !claim(t, port) {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatalf("no free port in %d tries", tries)
	return 0
}

// staleClaim is when a claim is nobody's any more: its test was killed.
const staleClaim = time.Hour

// claim takes a port for a test by a file that only one can make.
func claim(t testing.TB, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "gomaild-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, strconv.Itoa(port))
	if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > staleClaim {
		_ = os.Remove(name) // if another was faster, the next step fails
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = os.Remove(name) })
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}
