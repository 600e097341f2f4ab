package ocf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/cluster/control"
)

// process is a running server.
type process struct {
	pid int
}

// find is the server's process: that which listens on the control socket, or, if
// nobody does, one that was started with the same configuration. Failure:
// NotRunning.
func (a *agent) find(ctx context.Context, s Server) (process, error) {
	if s.Control != "" {
		pid, err := s.client().PID(ctx)
		if err == nil {
			return process{pid}, nil
		}
		if !errors.Is(err, control.ErrNotRunning) {
			return process{}, err
		}
	}
	for _, pid := range processes() {
		if a.isServer(pid) && (process{pid}).lives() {
			return process{pid}, nil
		}
	}
	return process{}, &failure{NotRunning, control.ErrNotRunning}
}

// isServer reports a process that is `gomaild serve` with our configuration.
func (a *agent) isServer(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	return len(args) > 1 && filepath.Base(args[0]) == "gomaild" && args[1] == "serve" && slices.Contains(args[2:], a.config)
}

// processes are all that there are.
func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

// state is the letter of /proc/PID/stat: R, S, D, T ..., 0 if there is none.
func (p process) state() byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	i := bytes.LastIndexByte(stat, ')') // the name before may hold anything
	if i < 0 || i+2 >= len(stat) {
		return 0
	}
	return stat[i+2]
}

// lives is false of what has ended, reaped or not.
func (p process) lives() bool {
	s := p.state()
	return s != 0 && s != 'Z' && s != 'X'
}

func (p process) signal(s syscall.Signal) error {
	err := syscall.Kill(p.pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return failed(ErrPerm, "send %v to process %d: %w", s, p.pid, err)
	}
	return nil
}

func (p process) hup() error { return p.signal(syscall.SIGHUP) }

const pollEvery = 20 * time.Millisecond

// gone waits until the process has ended; false when ctx ends first.
func (p process) gone(ctx context.Context) bool {
	return until(ctx, func() bool { return !p.lives() })
}

// until asks again and again; false when ctx ends first.
func until(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return done()
		case <-tick.C:
		}
	}
	return true
}

// holder is a process that has something of the mail root open.
type holder struct {
	process
	name string // of its program
	what string // that it has open
}

// holders are those who have something open below root, as far as we may look. It
// reads links of /proc only, and asks nothing of the mount.
func holders(root string) []holder {
	var all []holder
	for _, pid := range processes() {
		if what := heldBy(pid, root); what != "" {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			all = append(all, holder{process{pid}, strings.TrimSpace(string(name)), what})
		}
	}
	return all
}

func heldBy(pid int, root string) string {
	dir := fmt.Sprintf("/proc/%d/", pid)
	links := []string{"cwd", "root", "exe"}
	for _, sub := range []string{"fd", "map_files"} {
		entries, err := os.ReadDir(dir + sub)
		if err != nil {
			continue // it is gone, or not ours to look at
		}
		for _, e := range entries {
			links = append(links, sub+"/"+e.Name())
		}
	}
	for _, l := range links {
		target, err := os.Readlink(dir + l)
		if err == nil && (target == root || strings.HasPrefix(target, root+"/")) {
			return target
		}
	}
	return ""
}

// kill ends a process that cannot refuse, and what it has open with it.
func (p process) kill(ctx context.Context) error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	if !p.gone(ctx) {
		return failed(ErrGeneric, "process %d does not end (state %c)", p.pid, p.state())
	}
	return nil
}
