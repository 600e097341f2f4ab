package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"gomaild/delivery/queue"
	"gomaild/internal/dns"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp/client"
)

// Bounds of one attempt, as Postfix has them (smtp_mx_address_limit,
// smtp_mx_session_limit).
const (
	maxAddresses = 5               // connections that are tried
	maxSessions  = 2               // hosts that are offered the message
	maxExchanges = 20              // MX records that are looked at
	routeWait    = 2 * time.Minute // for the look-ups of all its hosts
)

// Config of an Agent. HELO and Resolver are required.
type Config struct {
	HELO     string // our name
	Resolver dns.Resolver

	// Dial connects; nil is the network, from Source.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Source netip.Addr // address that connections come from; the zero Addr leaves it to the system
	Port   uint16     // of mail exchangers; 0 is 25

	// IsSelf tells whether an address is ours, to see mail that goes round in
	// a circle; nil is never.
	IsSelf func(netip.Addr) bool

	// Relay may send a message another way than its destination says: through
	// a relay host, for all or by sender. nil changes nothing.
	Relay func(queue.Destination, mail.ReversePath) queue.Destination
	// Login is the account to use at a next hop, for a sender; nil is none. The
	// password is sent within TLS only.
	Login func(to mail.NextHop, from mail.ReversePath) (Login, bool)

	// Policy is what TLS must be for a next hop; nil is May for all. With an error
	// mail waits.
	Policy func(to mail.NextHop) (Policy, error)
	Roots  *x509.CertPool // nil is the system's
	// STS is a domain's MTA-STS policy; nil is none for all. It is asked for May,
	// Encrypt and DANE; what DANE says of a host comes first (RFC 8461 section 2).
	STS func(ctx context.Context, domain string) STS
	// Report hears how TLS went with each mail exchanger; nil is nobody.
	Report func(TLSResult)

	Connect  time.Duration // for a connection to one address; 0 is 30 s
	Timeouts client.Timeouts
	Idle     time.Duration // how long a connection waits for the next message; 0 is 2 s, below 0 it is never used again
	Logger   *slog.Logger  // nil is silent
}

// Login is an account at a relay host.
type Login struct{ Name, Password string }

// Agent implements queue.Agent.
type Agent struct {
	cfg  Config
	log  *slog.Logger
	pool *pool
}

// New makes an Agent. Close it after the last Deliver has returned.
func New(cfg Config) *Agent {
	if cfg.Port == 0 {
		cfg.Port = 25
	}
	if cfg.Connect == 0 {
		cfg.Connect = 30 * time.Second
	}
	if cfg.Idle == 0 {
		cfg.Idle = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		d := &net.Dialer{Timeout: cfg.Connect}
		if cfg.Source.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(cfg.Source, 0))
		}
		cfg.Dial = d.DialContext
	}
	return &Agent{cfg: cfg, log: cfg.Logger, pool: newPool(cfg.Idle)}
}

// Close closes the connections that wait for a next message.
func (a *Agent) Close() { a.pool.close() }

// Deliver implements queue.Agent.
func (a *Agent) Deliver(ctx context.Context, job queue.Job) []queue.Result {
	t := a.newAttempt(job)
	t.run(ctx)
	return t.results
}

func (a *Agent) newAttempt(job queue.Job) *attempt {
	t := &attempt{Agent: a, job: job, to: job.Destination, results: make([]queue.Result, len(job.To))}
	for i := range job.To {
		t.open = append(t.open, i)
	}
	if a.cfg.Relay != nil {
		t.to = a.cfg.Relay(t.to, job.From)
	}
	return t
}

// attempt is one Deliver.
type attempt struct {
	*Agent
	job    queue.Job
	to     queue.Destination
	policy Policy
	sts    STS
	login  Login

	tlsOptional bool // the message says TLS-Required: No

	results []queue.Result
	open    []int // recipients that another host may still be asked for
}

func (t *attempt) run(ctx context.Context) {
	if err := t.prepare(); err != nil {
		t.fail(err)
		return
	}
	if s := t.pool.take(t.key()); s != nil { // made under the same policy, a moment ago
		t.send(ctx, s)
	}
	if len(t.open) == 0 {
		return
	}
	t.findSTS(ctx)
	t.reportSTS()
	hosts, err := t.look(ctx)
	if err != nil {
		t.fail(err)
		return
	}
	t.tryHosts(ctx, hosts)
}

// choose finds the login and the policy of the destination.
func (t *attempt) choose() error {
	if t.cfg.Login != nil {
		t.login, _ = t.cfg.Login(t.nextHop(), t.job.From)
	}
	if t.cfg.Policy != nil && t.to.Transport != "lmtp" {
		var err error
		if t.policy, err = t.cfg.Policy(t.nextHop()); err != nil {
			return &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "The TLS policy for " + t.to.Host + " cannot be read", Cause: err}
		}
	}
	if t.login != (Login{}) && t.policy.Level <= May {
		t.policy.Level = Encrypt
	}
	return nil
}

// prepare is choose, with what the message itself wants.
func (t *attempt) prepare() error {
	if err := t.choose(); err != nil {
		return err
	}
	if t.requiresTLS() {
		if t.policy.Level < DANE {
			t.policy.Level = Verify
		}
		return nil
	}
	no, err := saysTLSNotRequired(t.job.Content)
	t.tlsOptional = no
	if no && t.login == (Login{}) {
		t.policy.Level = min(t.policy.Level, May)
	}
	return err
}

// tryHosts goes over the hosts until everybody has an outcome. Hosts that do
// not answer, or not as they should, are passed over.
func (t *attempt) tryHosts(ctx context.Context, hosts []host) {
	var first error // about the best host, which is the most telling one
	var lacks error // about the best of those that do not offer what REQUIRETLS wants
	fail := func() { t.fail(cmp.Or(first, lacks, noHost(t.to.Host))) }
	addresses, sessions := 0, 0
	for _, h := range hosts {
		if t.enforces() && !t.sts.Allows(h.name) {
			first = cmp.Or(first, put(h.name, "4.7.5", errNotAllowed.Error(), nil))
			t.reportTLS(h, "", demand{tls: &tls.Config{}}, errors.Join(errTLSFailed, errNotAllowed))
			continue
		}
		if t.requiresTLS() && !t.vouchedFor(h) {
			first = cmp.Or(first, put(cmp.Or(h.name, t.to.Host), "4.7.30", "is named by neither DNSSEC nor MTA-STS, which REQUIRETLS wants (RFC 8689)", nil))
			continue
		}
		for _, addr := range h.addrs {
			if addresses >= maxAddresses || sessions >= maxSessions || ctx.Err() != nil {
				fail()
				return
			}
			addresses++
			s, err := t.connect(ctx, h, addr)
			if err != nil {
				if errors.Is(err, errNoRequireTLS) || t.requiresTLS() && errors.Is(err, errNoTLS) {
					lacks = cmp.Or(lacks, err)
				} else {
					first = cmp.Or(first, err)
				}
				t.log.DebugContext(ctx, "host passed over", "queue_id", t.job.ID, "host", h.name, "address", addr, "error", err)
				continue
			}
			sessions++
			t.send(ctx, s)
			if len(t.open) == 0 {
				return
			}
		}
	}
	fail()
}

// requiresTLS reports a message that goes with REQUIRETLS or not at all. A
// notification, which has the null reverse-path, goes in any case: it is not to be lost (RFC
// 8689 section 5).
func (t *attempt) requiresTLS() bool { return t.job.RequireTLS && !t.job.From.Address.IsZero() }

// vouchedFor reports that a host is what its domain says it is (RFC 8689 section
// 4.2.1): the MX records are signed, its MTA-STS policy names it, or the operator
// does.
func (t *attempt) vouchedFor(h host) bool {
	return t.to.NoMX || t.to.Transport == "lmtp" || h.isNamed || t.sts.Allows != nil && t.sts.Allows(h.name)
}

func noHost(to string) error {
	return &mail.Status{Code: 451, Enhanced: "4.4.1", Text: "No host of " + to + " was reached"}
}

// send makes a transaction for those who have no outcome. Who was put off, and
// not after the whole message was sent, stays open for the next host.
func (t *attempt) send(ctx context.Context, s *session) {
	m := client.Message{From: t.job.From, Content: t.job.Content, RequireTLS: t.job.RequireTLS}
	for _, i := range t.open {
		m.To = append(m.To, t.job.To[i])
	}
	if _, ok := s.conn.Extension("8BITMIME"); !ok {
		c, err := message.SevenBit(t.job.Content)
		switch {
		case err == nil:
			m.Content = c
		case !errors.Is(err, message.ErrEightBit): // else the client says that the host does not take it
			t.fail(&mail.Status{Code: 451, Enhanced: "4.3.0", Text: "The message cannot be read", Cause: err})
			t.pool.put(ctx, t.key(), s)
			return
		}
	}
	_, tookDSN := s.conn.Extension("DSN")
	asked := t.open
	t.open = nil
	for n, r := range s.conn.Send(ctx, m) {
		i := asked[n]
		err := s.explain(r.Err)
		_, spoke := errors.AsType[*mail.Status](r.Err)
		t.results[i] = queue.Result{Err: err, RemoteMTA: s.host, TookDSN: err == nil && tookDSN, Alive: err == nil || spoke, Delivered: t.to.Transport == "lmtp"}
		if err != nil && !r.Unsure && mail.StatusOf(err).Temporary() {
			t.open = append(t.open, i)
		}
	}
	t.pool.put(ctx, t.key(), s)
}

// fail is the end for those who are open: what a host said of them stays.
func (t *attempt) fail(err error) {
	for _, i := range t.open {
		if t.results[i].Err == nil {
			t.results[i].Err = err
		}
	}
	t.open = nil
}
