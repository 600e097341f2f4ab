package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds of one question.
const (
	maxAliases  = 8    // CNAMEs followed, over all packets
	maxRecords  = 1000 // of the wanted type
	udpSize     = 1232 // what fits every path unfragmented
	tries       = 2    // rounds over the servers
	defaultWait = 3 * time.Second
)

// Server is a recursive resolver.
type Server struct {
	Addr    string // host:port
	Trusted bool   // its AD bit is believed: it validates, and the way to it is safe (loopback)
}

// Config says whom to ask.
type Config struct {
	Servers []Server
	Timeout time.Duration // for one packet and its answer; 0 is 3 s

	CacheEntries int // 0 is 10000, below 0 no cache
}

// New makes a Resolver that asks cfg.Servers in their order and remembers
// answers.
func New(cfg Config) Resolver {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultWait
	}
	c := &client{cfg: cfg}
	if cfg.CacheEntries < 0 {
		return c
	}
	return newCache(c, cfg.CacheEntries)
}

type client struct{ cfg Config }

// Query implements Resolver.
func (c *client) Query(ctx context.Context, name string, qtype uint16) (Answer, error) {
	a, _, err := c.query(ctx, name, qtype)
	return a, err
}

// query also tells how long the answer may be kept.
func (c *client) query(ctx context.Context, name string, qtype uint16) (Answer, time.Duration, error) {
	at := dns.CanonicalName(name)
	what := fmt.Sprintf("%s %s", dns.TypeToString[qtype], at)
	if _, ok := dns.IsDomainName(at); !ok {
		return Answer{}, 0, fmt.Errorf("%s: %w", what, ErrNotExist)
	}
	f := follower{at: at, qtype: qtype, authentic: true, keep: maxKeep}
	for !f.done {
		before := f.hops
		m, trusted, err := c.ask(ctx, f.at, qtype)
		if err != nil {
			return Answer{}, 0, fmt.Errorf("%s: %w", what, err)
		}
		f.authentic = f.authentic && trusted && m.AuthenticatedData
		if err := f.take(m); err != nil {
			return f.answer(), f.keep, fmt.Errorf("%s: %w", what, err)
		}
		if !f.done && f.hops == before {
			break
		}
	}
	return f.answer(), f.keep, nil
}

// ask puts one question to the servers in turn until one answers it.
func (c *client) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, bool, error) {
	last := errors.New("no resolver is configured")
	for range tries {
		for _, s := range c.cfg.Servers {
			m, err := c.exchange(ctx, s.Addr, name, qtype)
			if err == nil {
				return m, s.Trusted, nil
			}
			if ctx.Err() != nil {
				return nil, false, errors.Join(ctx.Err(), err)
			}
			last = fmt.Errorf("resolver %s: %w", s.Addr, err)
		}
	}
	return nil, false, last
}

// exchange asks one server over UDP, and over TCP what was truncated.
func (c *client) exchange(ctx context.Context, addr, name string, qtype uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.Id = uint16(rand.Uint32())
	q.SetEdns0(udpSize, true)
	q.AuthenticatedData = true
	for _, network := range []string{"udp", "tcp"} {
		m, err := c.packet(ctx, network, addr, q)
		if err != nil {
			return nil, err
		}
		if m.Truncated && network == "udp" {
			continue
		}
		return m, isAnswer(q, m)
	}
	return nil, errors.New("truncated over TCP")
}

// packet has one deadline for everything, lost packets and wrong ones.
func (c *client) packet(ctx context.Context, network, addr string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	dc := dns.Client{Net: network, Timeout: c.cfg.Timeout, UDPSize: udpSize, Dialer: &net.Dialer{Timeout: c.cfg.Timeout}}
	m, _, err := dc.ExchangeContext(ctx, q, addr)
	return m, err
}

// isAnswer refuses what is no answer to q: a lie, or a server in trouble.
func isAnswer(q, m *dns.Msg) error {
	switch {
	case m.Id != q.Id || !m.Response || len(m.Question) != 1 ||
		!strings.EqualFold(m.Question[0].Name, q.Question[0].Name) ||
		m.Question[0].Qtype != q.Question[0].Qtype || m.Question[0].Qclass != dns.ClassINET:
		return errors.New("answer to another question")
	case m.Truncated:
		return errors.New("truncated over TCP")
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return fmt.Errorf("answer %s", dns.RcodeToString[m.Rcode])
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 && !m.RecursionAvailable && !m.Authoritative:
		return errors.New("a referral: the server does not resolve")
	}
	return nil
}

// follower walks the chain of aliases of an answer.
type follower struct {
	at        string
	qtype     uint16
	hops      int
	authentic bool
	records   []dns.RR
	keep      time.Duration
	done      bool
}

func (f *follower) answer() Answer {
	return Answer{Records: f.records, Name: f.at, Authentic: f.authentic}
}

// take reads one packet: the records, or how far the aliases lead. Records
// under other names are passed over, whatever they say.
func (f *follower) take(m *dns.Msg) error {
	for {
		var alias *dns.CNAME
		for _, rr := range m.Answer {
			if h := rr.Header(); h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != f.at {
				continue
			}
			if rr.Header().Rrtype == f.qtype && len(f.records) < maxRecords {
				f.records = append(f.records, rr)
				f.keepFor(rr.Header().Ttl)
			} else if cname, ok := rr.(*dns.CNAME); ok {
				alias = cname
			}
		}
		if len(f.records) > 0 {
			f.done = true
			return nil
		}
		if alias == nil {
			return f.none(m)
		}
		if f.hops++; f.hops > maxAliases {
			return errors.New("aliases lead too far, or in a circle")
		}
		f.keepFor(alias.Hdr.Ttl)
		f.at = dns.CanonicalName(alias.Target)
	}
}

// none is what a packet says that holds no records: a denial, or that the
// chain has to be followed with another question.
func (f *follower) none(m *dns.Msg) error {
	if m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0 && f.at != dns.CanonicalName(m.Question[0].Name) {
		return nil
	}
	f.done = true
	f.keep = min(f.keep, negativeTTL(m))
	if m.Rcode == dns.RcodeNameError {
		return ErrNotExist
	}
	return ErrNoData
}

func (f *follower) keepFor(ttl uint32) {
	f.keep = min(f.keep, time.Duration(ttl)*time.Second)
}

// negativeTTL is RFC 2308 section 5; without an SOA a denial is not kept.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, maxKeepNone)
		}
	}
	return 0
}
