package dns_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
)

func many() []string {
	var list []string
	for i := range 300 {
		list = append(list, fmt.Sprintf("TXT \"a rather long string that fills the packet, number %d\"", i))
	}
	return list
}

var zone = dnstest.Zone{
	Records: map[string][]string{
		"example.org": {"MX 10 Mx.Example.ORG.", "MX 5 other.test."},
		"mx.test":     {"A 192.0.2.1", "AAAA 2001:db8::1"},
		"alias.test":  {"CNAME mx.test."},
		"loop.test":   {"CNAME loop.test."},
		"null.test":   {"MX 0 ."},
		"empty.test":  {},
		"big.test":    many(),
	},
	Fail:      []string{"broken.test"},
	Authentic: true,
}

// ask has patience with a busy machine.
func ask(t *testing.T, trusted bool, h mdns.Handler) dns.Resolver {
	return askWithin(t, trusted, h, 10*time.Second)
}

func askWithin(t *testing.T, trusted bool, h mdns.Handler, timeout time.Duration) dns.Resolver {
	return dns.New(dns.Config{Servers: []dns.Server{{Addr: dnstest.Serve(t, h), Trusted: trusted}}, Timeout: timeout, CacheEntries: -1})
}

func TestLookups(t *testing.T) {
	t.Parallel()
	for how, r := range map[string]dns.Resolver{"server": ask(t, true, zone), "literal": zone} {
		mx, ad, err := dns.LookupMX(t.Context(), r, "example.org")
		if want := []dns.MX{{10, "mx.example.org"}, {5, "other.test"}}; !slices.Equal(mx, want) || !ad || err != nil {
			t.Errorf("%s: MX %v, authentic %v, %v", how, mx, ad, err)
		}
		if mx, _, _ := dns.LookupMX(t.Context(), r, "null.test"); !slices.Equal(mx, []dns.MX{{0, ""}}) {
			t.Errorf("%s: null MX %v", how, mx)
		}
		addrs, _, err := dns.LookupAddrs(t.Context(), r, "alias.test")
		if len(addrs) != 2 || err != nil {
			t.Errorf("%s: addresses behind an alias: %v, %v", how, addrs, err)
		}
		txt, err := dns.LookupTXT(t.Context(), r, "big.test")
		if len(txt) != 300 || err != nil {
			t.Errorf("%s: %d records of a truncated answer, %v", how, len(txt), err)
		}
		for name, want := range map[string]error{"nothing.test": dns.ErrNotExist, "empty.test": dns.ErrNoData} {
			if _, _, err := dns.LookupMX(t.Context(), r, name); !errors.Is(err, want) {
				t.Errorf("%s: %s gave %v, want %v", how, name, err, want)
			}
		}
		for _, name := range []string{"broken.test", "loop.test"} {
			if _, _, err := dns.LookupMX(t.Context(), r, name); err == nil || dns.IsNone(err) {
				t.Errorf("%s: %s gave %v, want a fault", how, name, err)
			}
		}
	}
}

func TestADOnlyFromTheTrusted(t *testing.T) {
	t.Parallel()
	if _, ad, err := dns.LookupMX(t.Context(), ask(t, false, zone), "example.org"); ad || err != nil {
		t.Errorf("authentic %v, %v", ad, err)
	}
}

// TestHostileResolvers holds that a resolver can cost time, bounded, and can
// never turn its own faults into "there is none".
func TestHostileResolvers(t *testing.T) {
	t.Parallel()
	reply := func(q *mdns.Msg) *mdns.Msg {
		m := new(mdns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		return m
	}
	for name, h := range map[string]mdns.HandlerFunc{
		"silent": func(mdns.ResponseWriter, *mdns.Msg) {},
		"another question": func(w mdns.ResponseWriter, q *mdns.Msg) {
			m := reply(q)
			m.Question[0].Name = "else.test."
			m.Rcode = mdns.RcodeNameError
			_ = w.WriteMsg(m)
		},
		"always truncated": func(w mdns.ResponseWriter, q *mdns.Msg) {
			m := reply(q)
			m.Truncated = true
			_ = w.WriteMsg(m)
		},
		"refuses": func(w mdns.ResponseWriter, q *mdns.Msg) {
			m := reply(q)
			m.Rcode = mdns.RcodeRefused
			_ = w.WriteMsg(m)
		},
		"garbage": func(w mdns.ResponseWriter, q *mdns.Msg) { _, _ = w.Write([]byte("garbage that is no packet")) },
		"ever another alias": func(w mdns.ResponseWriter, q *mdns.Msg) {
			m := reply(q)
			m.Answer = []mdns.RR{&mdns.CNAME{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeCNAME, Class: mdns.ClassINET}, Target: "x." + q.Question[0].Name}}
			_ = w.WriteMsg(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _, err := dns.LookupMX(ctx, askWithin(t, true, h, 200*time.Millisecond), "victim.test")
			if err == nil || dns.IsNone(err) || ctx.Err() != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRecordsUnderOtherNamesArePassedOver(t *testing.T) {
	t.Parallel()
	r := ask(t, true, mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		m := new(mdns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		rr, _ := mdns.NewRR("evil.test. 300 IN MX 1 evil.test.")
		m.Answer = []mdns.RR{rr}
		_ = w.WriteMsg(m)
	}))
	if mx, _, err := dns.LookupMX(t.Context(), r, "victim.test"); len(mx) != 0 || !errors.Is(err, dns.ErrNoData) {
		t.Errorf("got %v, %v", mx, err)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	h := mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		asked.Add(1)
		zone.ServeDNS(w, q)
	})
	r := dns.New(dns.Config{Servers: []dns.Server{{Addr: dnstest.Serve(t, h)}}, CacheEntries: 1})
	for range 3 {
		_, _, _ = dns.LookupMX(t.Context(), r, "Example.org")
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
	_, _, _ = dns.LookupMX(t.Context(), r, "null.test")
	_, _, _ = dns.LookupMX(t.Context(), r, "example.org")
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times through a cache of one entry, want 3", n)
	}
	_, _, _ = dns.LookupMX(t.Context(), r, "broken.test")
	_, _, _ = dns.LookupMX(t.Context(), r, "broken.test")
	if n := asked.Load(); n != 7 {
		t.Errorf("asked %d times, want 7: a fault is tried twice and never kept", n)
	}
}
