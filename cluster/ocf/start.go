package ocf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"gomaild/cluster/control"
)

// The server's exit statuses for a fault of its configuration, or of what that
// names, and for what it may not read or write: EX_CONFIG and EX_NOPERM of
// sysexits.h.
const (
	exitConfig = 78
	exitNoPerm = 77
)

// start runs the server and returns when it is ready.
func (a *agent) start(ctx context.Context) error {
	s, err := a.server()
	if err != nil {
		return err
	}
	as, err := a.credential()
	if err != nil {
		return err
	}
	if _, err := a.find(ctx, s); err == nil {
		return a.awaitReady(ctx, s, nil)
	}
	if as != nil {
		if err := a.Prepare(s.RunDir, int(as.Uid), int(as.Gid)); err != nil {
			return failed(ErrPerm, "prepare %s: %w", s.RunDir, err)
		}
	}
	log, err := a.Log(a.log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed(ErrInstalled, "open the log: %w; make its directory on this node, or name another file with log", err)
	case err != nil:
		return failed(ErrPerm, "open the log: %w; name a file with log that %s may write", err, cmp.Or(a.user, "root"))
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return err
	}
	ended, err := a.spawn(log, as)
	if err != nil {
		return failed(ErrInstalled, "run the server: %w", err)
	}
	return explained(a.awaitReady(ctx, s, ended), log, info.Size())
}

// spawn runs the server in a session of its own, where it outlives the agent. How
// it ended, if it does so early, comes over the channel.
func (a *agent) spawn(log *os.File, as *syscall.Credential) (<-chan error, error) {
	cmd := exec.Command(a.Binary, "serve", "-c", a.config) //nolint:noctx // it outlives us
	cmd.Args[0] = "gomaild"                                // what it is found by
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as}
	if as != nil {
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

// credential is the user to run as, nil for our own.
func (a *agent) credential() (*syscall.Credential, error) {
	if a.user == "" {
		return nil, nil
	}
	u, err := user.Lookup(a.user)
	if err != nil {
		return nil, failed(ErrInstalled, "%w; make the user on this node, or name another", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, failed(ErrInstalled, "user %s: %w", a.user, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// awaitReady waits until the server is ready, or has ended.
func (a *agent) awaitReady(ctx context.Context, s Server, ended <-chan error) error {
	var last, end error
	ready := until(ctx, func() bool {
		select {
		case end = <-ended:
			return true
		default:
		}
		_, last = s.client().Ask(ctx, control.PathReady)
		return last == nil
	})
	switch {
	case end != nil || ready && last != nil:
		return ofExit(end)
	case !ready:
		return failed(ErrGeneric, "the server is not ready in time: %w", last)
	}
	return nil
}

// ofExit is the failure of a server that ended while it started.
func ofExit(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		switch exit.ExitCode() {
		case exitConfig:
			return failed(ErrArgs, "the server refuses to start: %w", err)
		case exitNoPerm:
			return failed(ErrPerm, "the server refuses to start: %w", err)
		}
	}
	return failed(ErrGeneric, "the server ended while it started: %w", err)
}

// maxReason is how much of the log is searched for a reason, in octets.
const maxReason = 16 << 10

// explained adds the last line that the server has written to the log since it
// was started.
func explained(err error, log io.ReaderAt, from int64) error {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return err
	}
	text, readErr := io.ReadAll(io.NewSectionReader(log, from, maxReason))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; readErr == nil && last != "" {
		return &failure{f.code, fmt.Errorf("%w: %s", f.err, last)}
	}
	return err
}
