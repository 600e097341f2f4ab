package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// unixSocket is the name of a bound socket, and which file it was when we
// bound it, so that the socket of a successor is never removed.
type unixSocket struct {
	path string
	info fs.FileInfo
}

// listenUnix binds a unix socket with the given mode. It binds a temporary
// name and renames it into place: nobody can connect before the mode is set,
// and the socket that a killed process left behind is replaced in one step. A
// socket on which somebody listens, and a file that is no socket, are left
// alone and are errors.
func listenUnix(path string, mode fs.FileMode) (net.Listener, *unixSocket, error) {
	if err := checkFree(path); err != nil {
		return nil, nil, err
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	ln.SetUnlinkOnClose(false)
	socket, err := publish(temporary, path, mode)
	if err != nil {
		_ = ln.Close()
		_ = os.Remove(temporary)
		return nil, nil, err
	}
	return &unixListener{UnixListener: ln, addr: &net.UnixAddr{Name: path, Net: "unix"}}, socket, nil
}

// unixListener knows the name it was renamed to.
type unixListener struct {
	*net.UnixListener
	addr net.Addr
}

func (l *unixListener) Addr() net.Addr { return l.addr }

func publish(temporary, path string, mode fs.FileMode) (*unixSocket, error) {
	if err := os.Chmod(temporary, mode); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return &unixSocket{path: path, info: info}, nil
}

// checkFree asks whether path may be bound: it does not exist, or it is a
// socket that nobody listens on.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s: another process listens: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: ask whether another process listens: %w", path, err)
	}
	return nil
}

// remove takes the name away if it is still ours.
func (s *unixSocket) remove() {
	info, err := os.Lstat(s.path)
	if err == nil && os.SameFile(info, s.info) {
		_ = os.Remove(s.path) // what stays is taken for stale at the next start
	}
}
