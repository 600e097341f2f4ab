package listener

import (
	"io/fs"
	"net"
	"sync"
)

// ListenUnix listens on a unix socket with the given mode, for who serves it
// with another package. What a killed process left there is replaced; a socket
// on which somebody listens is an error (syscall.EADDRINUSE). Close takes the
// name away.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	ln, socket, err := listenUnix(path, mode)
	if err != nil {
		return nil, err
	}
	return &local{Listener: ln, socket: socket}, nil
}

type local struct {
	net.Listener
	socket *unixSocket
	once   sync.Once
}

func (l *local) Close() error {
	l.once.Do(l.socket.remove)
	return l.Listener.Close()
}
