package daemon

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/internal/config"
	"gomaild/internal/tables"
	"gomaild/mail"
	"gomaild/smtp/client"
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
	ways, err := newWays(c, d.log)
	if err != nil {
		return nil, err
	}
	rc.Connect, rc.Timeouts = time.Duration(r.Timeouts.Connect), timeouts(r.Timeouts)
	rc.Relay, rc.Login, rc.Policy = ways.relay, ways.login, ways.policy
	if d.mail != nil { // not where only a way is asked for
		d.reportsAndPolicies(c, resolver, &rc)
	}
	return remote.New(rc), nil
}

func timeouts(t config.RemoteTimeouts) client.Timeouts {
	return client.Timeouts{
		Greeting: time.Duration(t.Greeting), Command: time.Duration(t.Command), TLS: time.Duration(t.TLS), Data: time.Duration(t.Data),
		Block: time.Duration(t.Block), EndOfData: time.Duration(t.EndOfData), Quit: time.Duration(t.Quit),
	}
}

// ways is what a configuration says about next hops.
type ways struct {
	host      mail.NextHop // for all; zero: none
	hostLogin remote.Login
	level     remote.Level
	relays    *tables.List
	passwords *tables.List
	policies  *tables.List
}

func newWays(c *config.Config, log *slog.Logger) (w ways, err error) {
	r := &c.Remote
	if r.RelayHost != "" {
		if w.host, err = mail.ParseNextHop(r.RelayHost); err != nil {
			return w, c.At("remote.relay_host", err, "write a host such as %q", "[smtp.example.org]:587")
		}
	}
	if r.RelayLoginFile != "" {
		if w.hostLogin, err = readLogin(r.RelayLoginFile); err != nil {
			return w, c.At("remote.relay_login_file", err, "name a file with the login in its first line and the password in its second")
		}
	}
	if w.level, err = remote.ParseLevel(string(r.TLS)); err != nil {
		return w, c.At("remote.tls", err, "write a level such as %q", "may")
	}
	if w.relays, err = openTables(c, "remote.sender_relay_maps", r.SenderRelayMaps, checkRelay, log); err != nil {
		return w, err
	}
	if w.passwords, err = openTables(c, "remote.password_maps", r.PasswordMaps, checkPassword, log); err != nil {
		return w, err
	}
	w.policies, err = openTables(c, "remote.tls_policy_maps", r.TLSPolicyMaps, checkPolicy, log)
	return w, err
}

// noRelay is Postfix's word for a sender without a relay host of its own.
const noRelay = "DUNNO"

func checkRelay(value string) error {
	if value == noRelay || strings.Contains(value, "$") {
		return nil
	}
	_, err := mail.ParseNextHop(value)
	return err
}

// checkPassword says nothing of the value.
func checkPassword(value string) error {
	if name, password, ok := strings.Cut(value, ":"); !ok || name == "" || password == "" {
		return errors.New("a value is not name:password")
	}
	return nil
}

func checkPolicy(value string) error {
	_, err := remote.ParsePolicy(value)
	return err
}

// relay sends a message through a relay host: the sender's, or that for all. A
// transport names its way itself.
func (w ways) relay(d queue.Destination, from mail.ReversePath) queue.Destination {
	if d.Direct || d.NoMX || d.Transport != transportSMTP {
		return d
	}
	hop := w.host
	if value, ok := w.relays.Find(senderKeys(from.Address)...); ok && value != noRelay {
		if own, err := mail.ParseNextHop(value); err == nil {
			hop = own
		} // else a pattern has made what is no host: the one for all
	}
	if hop.Host == "" {
		return d
	}
	return queue.Destination{Transport: transportSMTP, Host: hop.Host, Port: hop.Port, NoMX: hop.NoMX, Direct: true}
}

// senderKeys is how a sender is looked up.
func senderKeys(a mail.Address) []string {
	if a.IsZero() {
		return []string{"<>"}
	}
	return []string{a.String(), "@" + a.Domain}
}

// login is the account at a next hop.
func (w ways) login(to mail.NextHop, from mail.ReversePath) (remote.Login, bool) {
	if !w.passwords.IsEmpty() {
		value, ok := "", false
		if !from.Address.IsZero() {
			value, ok = w.passwords.Find(senderKeys(from.Address)...)
		}
		if !ok {
			value, ok = w.passwords.Find(to.String(), to.Host)
		}
		if name, password, found := strings.Cut(value, ":"); ok && found {
			return remote.Login{Name: name, Password: password}, true
		}
	}
	return w.hostLogin, w.hostLogin.Name != "" && to.Host == w.host.Host
}

// policy is what TLS must be for a next hop.
func (w ways) policy(to mail.NextHop) (remote.Policy, error) {
	if value, ok := w.policies.Find(remote.PolicyKeys(to)...); ok {
		return remote.ParsePolicy(value)
	}
	return remote.Policy{Level: w.level}, nil
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
