package daemon

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"

	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/internal/config"
	"gomaild/mail"
)

// newRemote makes the agent that sends to other hosts, nil if that is off.
func (d *Daemon) newRemote(c *config.Config) (*remote.Agent, error) {
	r := &c.Remote
	if !r.Enabled {
		return nil, nil
	}
	resolver, err := resolver(c)
	if err != nil {
		return nil, err
	}
	rc := remote.Config{HELO: r.HELO, Resolver: resolver, IsSelf: isOwnAddress, Logger: d.log}
	if rc.HELO == "" {
		rc.HELO = d.hostname
	}
	if a, err := netip.ParseAddr(r.Source); err == nil { // validate has looked at it
		rc.Source = a
	}
	level := remoteLevel(r.TLS)
	rc.Policy = func(string) remote.Policy { return remote.Policy{Level: level} }
	if err := relayThrough(c, &rc); err != nil {
		return nil, err
	}
	return remote.New(rc), nil
}

// relayThrough sends all mail through a relay host, where there is one.
func relayThrough(c *config.Config, rc *remote.Config) error {
	if c.Remote.RelayHost == "" {
		return nil
	}
	hop, err := mail.ParseNextHop(c.Remote.RelayHost)
	if err != nil {
		return c.At("remote.relay_host", err, "write a host such as %q", "[smtp.example.org]:587")
	}
	to := queue.Destination{Transport: transportSMTP, Host: hop.Host, Port: hop.Port, NoMX: hop.NoMX, Direct: true}
	rc.Relay = func(d queue.Destination, _ mail.ReversePath) queue.Destination {
		if d.Direct || d.NoMX || d.Transport != transportSMTP {
			return d // a transport names its host itself
		}
		return to
	}
	if c.Remote.RelayLoginFile == "" {
		return nil
	}
	login, err := readLogin(c.Remote.RelayLoginFile)
	if err != nil {
		return c.At("remote.relay_login_file", err, "name a file with the login in its first line and the password in its second")
	}
	rc.Login = func(host string, _ mail.ReversePath) (remote.Login, bool) { return login, host == to.Host }
	return nil
}

var errLoginFile = errors.New("has no two lines")

func readLogin(file string) (remote.Login, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return remote.Login{}, err
	}
	name, rest, _ := strings.Cut(string(text), "\n")
	password, _, _ := strings.Cut(rest, "\n")
	login := remote.Login{Name: strings.TrimRight(name, "\r"), Password: strings.TrimRight(password, "\r")}
	if login.Name == "" || login.Password == "" {
		return remote.Login{}, errLoginFile
	}
	return login, nil
}

func remoteLevel(l config.RemoteTLS) remote.Level {
	switch l {
	case config.RemoteNone:
		return remote.None
	case config.RemoteEncrypt:
		return remote.Encrypt
	case config.RemoteDANE:
		return remote.DANE
	case config.RemoteVerify:
		return remote.Verify
	default:
		return remote.May
	}
}

// isOwnAddress reports an address of this host now; a virtual address may have
// come since the last time.
func isOwnAddress(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}
