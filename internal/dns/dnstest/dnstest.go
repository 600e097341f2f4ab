// Package dnstest is the DNS for tests: a zone in a literal that is a
// dns.Resolver, and a server in the process that serves one over UDP and TCP.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"gomaild/internal/dns"
)

// Zone is records by name, without the final dot: "example.org": {"MX 10 a.test."}.
// A name without records exists; one that is missing does not.
type Zone struct {
	Records   map[string][]string
	Fail      []string // "MX example.org" or "example.org": SERVFAIL
	Authentic bool     // answers are signed
}

// Query implements dns.Resolver by the rules of the real one.
func (z Zone) Query(ctx context.Context, name string, qtype uint16) (dns.Answer, error) {
	if err := ctx.Err(); err != nil {
		return dns.Answer{}, err
	}
	name = dns.HostName(name)
	for range 8 {
		if z.fails(name, qtype) {
			return dns.Answer{}, errors.New("SERVFAIL")
		}
		records, alias, exists := z.find(name, qtype)
		a := dns.Answer{Records: records, Name: name + ".", Authentic: z.Authentic}
		switch {
		case len(records) > 0:
			return a, nil
		case alias != "":
			name = dns.HostName(alias)
		case exists:
			return a, fmt.Errorf("%s: %w", name, dns.ErrNoData)
		default:
			return a, fmt.Errorf("%s: %w", name, dns.ErrNotExist)
		}
	}
	return dns.Answer{}, errors.New("aliases in a circle")
}

func (z Zone) fails(name string, qtype uint16) bool {
	for _, f := range z.Fail {
		if f == name || f == mdns.TypeToString[qtype]+" "+name {
			return true
		}
	}
	return false
}

func (z Zone) find(name string, qtype uint16) (records []mdns.RR, alias string, exists bool) {
	lines, exists := z.Records[name]
	for _, line := range lines {
		rr, err := mdns.NewRR(name + ". 300 IN " + line)
		if err != nil {
			panic(fmt.Sprintf("zone of a test: %q: %v", line, err))
		}
		if rr.Header().Rrtype == qtype {
			records = append(records, rr)
		}
		if c, ok := rr.(*mdns.CNAME); ok {
			alias = c.Target
		}
	}
	return records, alias, exists
}

// ServeDNS answers from the zone, as a recursive resolver does.
func (z Zone) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.AuthenticatedData = z.Authentic
	name, qtype := dns.HostName(q.Question[0].Name), q.Question[0].Qtype
	for range 8 {
		if z.fails(name, qtype) {
			m.Rcode = mdns.RcodeServerFailure
			break
		}
		records, alias, exists := z.find(name, qtype)
		m.Answer = append(m.Answer, records...)
		if !exists {
			m.Rcode = mdns.RcodeNameError
		}
		if len(records) > 0 || alias == "" {
			break
		}
		rr, _, _ := z.find(name, mdns.TypeCNAME)
		m.Answer = append(m.Answer, rr...)
		name = dns.HostName(alias)
	}
	if strings.HasPrefix(w.RemoteAddr().Network(), "udp") {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m) // the client is gone: nobody to tell
}

// Serve answers with h over UDP and TCP on one loopback port until the test
// ends, and returns its address.
func Serve(t testing.TB, h mdns.Handler) string {
	t.Helper()
	pc, ln := listen(t)
	for _, s := range []*mdns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		started, ended := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := errors.Join(s.Shutdown(), <-ended); err != nil {
				t.Error(err)
			}
		})
	}
	return pc.LocalAddr().String()
}

// listen takes one port for both: the kernel gives a free one for UDP, and
// another program may have it for TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	const tries = 20
	var err error
	for range tries {
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			break
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, ln
		}
		err = errors.Join(err, pc.Close())
	}
	t.Fatal(err)
	return nil, nil
}
