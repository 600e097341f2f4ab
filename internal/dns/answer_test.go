package dns

import (
	"errors"
	"testing"

	"github.com/miekg/dns"
)

// FuzzAnswer holds that no packet of a resolver makes us go in circles, keep
// it for longer than we want, or take records of another name or type.
func FuzzAnswer(f *testing.F) {
	for _, records := range [][]string{
		{"a.test. 60 IN MX 10 b.test."},
		{"a.test. 4294967295 IN CNAME b.test.", "b.test. 0 IN CNAME a.test."},
		{"a.test. 60 IN CNAME b.test.", "B.Test. 60 IN MX 0 .", "c.test. 60 IN MX 1 evil.test."},
		{"a.test. 60 CH MX 10 b.test.", "a.test. 60 IN A 192.0.2.1"},
		nil,
	} {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
		m.Response, m.RecursionAvailable = true, true
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil || len(m.Question) == 0 {
			return
		}
		q := &dns.Msg{MsgHdr: dns.MsgHdr{Id: m.Id}, Question: []dns.Question{m.Question[0]}}
		if isAnswer(q, m) != nil {
			return
		}
		qtype := q.Question[0].Qtype
		to := follower{at: dns.CanonicalName(q.Question[0].Name), qtype: qtype, keep: maxKeep}
		err := to.take(m)
		a := to.answer()
		for _, rr := range a.Records {
			if h := rr.Header(); h.Rrtype != qtype || dns.CanonicalName(h.Name) != a.Name || h.Class != dns.ClassINET {
				t.Errorf("%v counts as %s of %s", rr, dns.TypeToString[qtype], a.Name)
			}
		}
		if len(a.Records) > 0 && err != nil || len(a.Records) > maxRecords || to.keep < 0 || to.keep > maxKeep || to.hops > maxAliases+1 {
			t.Errorf("%d records, kept for %v after %d aliases, %v", len(a.Records), to.keep, to.hops, err)
		}
		if len(a.Records) == 0 && err == nil && (to.done || to.hops == 0) {
			t.Error("nothing found, nothing denied, nothing to follow")
		}
		if IsNone(err) && !errors.Is(err, ErrNotExist) && m.Rcode == dns.RcodeNameError {
			t.Error("a name that does not exist has no data")
		}
	})
}
