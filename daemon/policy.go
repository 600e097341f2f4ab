package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/dns"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy"
	"gomaild/policy/arc"
	"gomaild/policy/delegation"
	"gomaild/policy/dkim/keys"
	"gomaild/policy/greylist"
	"gomaild/policy/rate"
)

const resolvConf = "/etc/resolv.conf"

// policy makes the checks of strangers, nil if there are none. Rates need no
// resolver.
func (d *Daemon) policy(c *config.Config) (*policy.Policy, error) {
	if len(c.Policy.Checks) == 0 && reflect.ValueOf(c.Policy.Rates).IsZero() {
		return nil, nil
	}
	pc := policyConfig(c, d)
	if len(c.Policy.Checks) > 0 {
		r, err := resolver(c)
		if err != nil {
			return nil, err
		}
		pc.Resolver = dns.Net{Resolver: r}
	}
	p, err := policy.New(pc)
	if err != nil {
		return nil, c.At("policy.checks", err, "use %s", strings.Join(policy.Names(), ", "))
	}
	return p, nil
}

func policyConfig(c *config.Config, d *Daemon) policy.Config {
	pc := policy.Config{
		Hostname:       d.hostname,
		Checks:         c.Policy.Checks,
		Rates:          policyRates(&c.Policy.Rates),
		RateTable:      d.rates,
		DNSBLThreshold: c.Policy.DNSBLThreshold,
		Greylist:       d.greylist,
		GreylistDelay:  time.Duration(c.Policy.GreylistDelay),
		ARCTrusted:     c.Policy.ARCTrusted,
		Logger:         d.log,

		WithoutService: func(err error) error { return withoutAnswer(c.Policy.ServiceFailure, err) },
	}
	for _, s := range c.Policy.Services {
		network, address := serviceEndpoint(s)
		pc.Services = append(pc.Services, delegation.New(network, address, time.Duration(c.Policy.ServiceTimeout)))
	}
	for _, l := range c.Policy.DNSBL {
		list := policy.List{Domain: l.Domain, Weight: l.Weight}
		for _, a := range l.Answers {
			if ip, err := netip.ParseAddr(a); err == nil { // validate has looked at it
				list.Answers = append(list.Answers, ip)
			}
		}
		pc.DNSBL = append(pc.DNSBL, list)
	}
	return pc
}

func policyRates(r *config.Rates) policy.Rates {
	return policy.Rates{
		ClientConnections:  limits(r.ClientConnections),
		ClientMessages:     limits(r.ClientMessages),
		ClientRecipients:   limits(r.ClientRecipients),
		NetworkConnections: limits(r.NetworkConnections),
		NetworkMessages:    limits(r.NetworkMessages),
		NetworkRecipients:  limits(r.NetworkRecipients),
		SenderMessages:     limits(r.SenderMessages),
		SenderRecipients:   limits(r.SenderRecipients),
	}
}

func limits(rates []config.Rate) []rate.Limit {
	all := make([]rate.Limit, len(rates))
	for i, r := range rates {
		all[i] = rate.Limit{N: r.N, Per: r.Per}
	}
	return all
}

// brakes hold the users of a configuration. What was counted outlives a reload.
func (p *parts) brakes() *policy.Brakes {
	s := &p.c.Submission
	return &policy.Brakes{
		Messages: limits(s.Messages), Recipients: limits(s.Recipients), Table: p.d.brakes,
		NewRecipients: limits(s.NewRecipients), Known: p.d.known, Suspect: p.suspect,
	}
}

// suspect holds what an account has in the queue, and tells the postmaster.
func (p *parts) suspect(ctx context.Context, account mail.Address) {
	o := p.d.outgoing.Load()
	if o == nil {
		return
	}
	n, err := p.d.applyToQueue(queueOrder{queue.Hold, ofAccount(account)})
	p.d.log.WarnContext(ctx, "account held: many new recipients", "account", account.String(), "queued", n, "error", err)
	to := mail.Address{Local: "postmaster", Domain: p.d.hostname}
	text := fmt.Sprintf("From: Mail system <%s>\r\nTo: <%s>\r\nSubject: Mail of %s is held\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\n\r\n"+
		"%s wrote to more new recipients than submission.new_recipients allows.\r\nIts password may be known to somebody else. What it sends to other hosts is held for\r\n24 hours; %d messages that waited are held too.\r\n\r\n"+
		"  gomaild queue list --account %s\r\n  gomaild queue release --account %s\r\n  gomaild queue delete --account %s\r\n\r\n"+
		"If all is well, this ends the hold now and sends what waits:\r\n\r\n  gomaild queue lift %s\r\n",
		to, to, account, time.Now().Format(time.RFC1123Z), rand.Text(), p.d.hostname, account, n, account, account, account, account)
	if err := o.submit(ctx, "", mail.ReversePath{}, []mail.Address{to}, strings.NewReader(text)); err != nil {
		p.d.log.ErrorContext(ctx, "postmaster not told of a held account", "account", account.String(), "error", err)
	}
}

// openGreylist opens what is known of strangers; it is closed after the last
// session.
func (d *Daemon) openGreylist() error {
	if err := durable.MkdirAll(d.mail.fs, ownDir, 0o700); err != nil {
		return err
	}
	list, err := greylist.Open(greylist.Config{FS: d.mail.fs, Name: ownDir + "/greylist"})
	if errors.Is(err, greylist.ErrDamaged) {
		d.log.Warn("greylist", "error", err)
		err = nil
	}
	if err != nil {
		return d.cfg.At("storage.root", err, "name a directory that gomaild may read and write")
	}
	d.greylist = list
	d.undo.push("save the greylist", func(context.Context) error { return list.Close() })
	return nil
}

// sealer seals what is forwarded, nil if that is off.
func (d *Daemon) sealer(c *config.Config, ring *keys.Ring) (func(message.Content) ([]byte, error), error) {
	if c.Policy.ARCDomain == "" {
		return nil, nil
	}
	signer := ring.Signer(c.Policy.ARCDomain)
	if signer == nil {
		return nil, c.At("policy.arc_domain", errNoKey, "make one: gomaild dkim generate %s", c.Policy.ARCDomain)
	}
	s := &arc.Sealer{Signer: *signer}
	return func(m message.Content) ([]byte, error) { return s.Forward(m, d.hostname) }, nil
}

var errNoKey = errors.New("there is no key")

// resolver asks the servers of the configuration, or the system's.
func resolver(c *config.Config) (dns.Resolver, error) {
	names := c.DNS.Servers
	if len(names) == 0 {
		system, err := mdns.ClientConfigFromFile(resolvConf)
		if err != nil {
			return nil, c.At("dns.servers", err, "name the resolvers, such as %q", "127.0.0.1")
		}
		names = system.Servers
	}
	var servers []dns.Server
	for _, name := range names {
		a, err := netip.ParseAddrPort(name)
		if err != nil {
			ip, err := netip.ParseAddr(name)
			if err != nil {
				return nil, c.At("dns.servers", fmt.Errorf("server %q: %w", name, err), "write an address such as %q", "127.0.0.1")
			}
			a = netip.AddrPortFrom(ip, 53)
		}
		servers = append(servers, dns.Server{Addr: a.String(), Trusted: c.DNS.Trusted})
	}
	return dns.New(dns.Config{Servers: servers, Timeout: time.Duration(c.DNS.Timeout)}), nil
}
