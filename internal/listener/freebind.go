package listener

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func (l *Listener) listenTCP(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	if l.cfg.FreeBind {
		lc.Control = freeBind
	}
	return lc.Listen(ctx, l.cfg.Network, l.cfg.Address)
}

// freeBind sets the option before the socket is bound.
func freeBind(network, _ string, conn syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_FREEBIND
	if strings.HasSuffix(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	var err error
	controlErr := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(controlErr, err)
}
