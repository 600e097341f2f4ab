package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"

	"gomaild/internal/config"
	"gomaild/internal/listener"
	"gomaild/internal/metrics"
)

// door is an open address. It outlives a reload: connections that wait in the
// kernel, and those that come in the middle of it, are served by the new
// generation.
type door struct {
	place
	listener *listener.Listener
	current  *atomic.Pointer[generation] // the daemon's
	metrics  *metrics.Metrics
}

// place is a listener of a configuration.
type place struct {
	config.Listener
	key  string // names the address, and so what a reload keeps open
	path string // of the address in the configuration, for errors
}

// places are the listeners of c. Several may say port 0 and are told apart by
// their order.
func places(c *config.Config) []place {
	all := make([]place, 0, len(c.Listeners))
	seen := map[string]int{}
	for i, l := range c.Listeners {
		network, address := l.Endpoint()
		key := network + " " + address
		seen[key]++
		if n := seen[key]; n > 1 {
			key = fmt.Sprintf("%s (%d)", key, n)
		}
		all = append(all, place{Listener: l, key: key, path: fmt.Sprintf("listener[%d].address", i)})
	}
	return all
}

// newDoor makes a door that is not open yet.
func (d *Daemon) newDoor(l place) *door {
	one := &door{place: l, current: &d.current, metrics: d.metrics}
	network, address := l.Endpoint()
	c := listener.Config{
		Name: string(l.Type), Network: network, Address: address, FreeBind: l.FreeBind, Handler: one,
		MaxConns: l.MaxConnections, MaxPerClient: l.MaxPerClient, Exempt: l.TrustedNetworks, Proxies: l.ProxyNetworks,
		Busy: busyText(l.Type), Mode: fs.FileMode(l.Mode), Logger: d.log,
	}
	if l.TLS == config.Implicit {
		c.TLS = d.followTLS()
	}
	one.listener = listener.New(c)
	return one
}

// busyText is what a client over a limit hears.
func busyText(t config.ListenerType) string {
	switch t {
	case config.IMAP:
		return "* BYE [UNAVAILABLE] Too many connections, try again later\r\n"
	case config.ManageSieve:
		return "BYE (TRYLATER) \"Too many connections, try again later\"\r\n"
	case config.POP3:
		return "-ERR [SYS/TEMP] Too many connections, try again later\r\n"
	}
	return "421 4.7.0 Too many connections, try again later\r\n"
}

// Serve implements listener.Handler. A connection that comes while the
// generation changes gets the new one.
func (d *door) Serve(ctx context.Context, _ <-chan struct{}, conn net.Conn) {
	defer d.metrics.Connected(string(d.Type))()
	for last := (*generation)(nil); ; {
		g := d.current.Load()
		if g == nil || g == last {
			return // stopping: the listener closes the connection
		}
		h, known := g.handlers[d.key]
		if !known {
			return // the new configuration has no such address
		}
		if g.serve(ctx, h, conn) {
			return
		}
		last = g
	}
}

// open binds the address.
func (d *door) open(ctx context.Context, c *config.Config) error {
	network, address := d.Endpoint()
	if network == "unix" {
		if err := MakeDir(filepath.Dir(address), 0o755); err != nil {
			return c.At(d.path, err, "name a socket in a directory that gomaild may make")
		}
	}
	if err := d.listener.Listen(ctx); err != nil {
		return c.At(d.path, err, "%s", listenAdvice(err))
	}
	return nil
}

// listenAdvice is what an operator can do about an address that cannot be had.
func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "stop what listens there, or give another address"
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		return "run gomaild as root or with the capability CAP_NET_BIND_SERVICE, or give a port from 1024 up"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "give an address that this host has, or only the port"
	default:
		return "give an address that can be listened on"
	}
}

// fits reports whether the door can stay open as it is for l.
func (d *door) fits(l place) bool {
	return d.Type == l.Type && d.FreeBind == l.FreeBind && d.TLS == l.TLS && d.Mode == l.Mode &&
		d.MaxConnections == l.MaxConnections && d.MaxPerClient == l.MaxPerClient &&
		slices.Equal(d.TrustedNetworks, l.TrustedNetworks) && slices.Equal(d.ProxyNetworks, l.ProxyNetworks)
}
