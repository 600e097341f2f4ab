package dnstest

import (
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"gomaild/internal/dns"
)

// Signed is an authoritative server of zones, some of which are signed with
// DNSSEC as they are asked for. What does not exist is denied as a name without
// records, which a validator takes as well.
type Signed struct {
	Records map[string][]string // as in Zone
	Zones   []string            // their apexes, in lower case and without the final dot
	Bogus   []string            // names whose records have signatures that do not fit

	keys map[string]signingKey
}

type signingKey struct {
	record *mdns.DNSKEY
	signer crypto.Signer
}

// Sign makes a key for a zone, and returns its DNSKEY record in the form of a
// zone file: the trust anchor of a validator.
func (s *Signed) Sign(t testing.TB, zone string) (anchor string) {
	t.Helper()
	const ksk = mdns.ZONE | mdns.SEP
	record := &mdns.DNSKEY{Hdr: header(zone, mdns.TypeDNSKEY), Flags: ksk, Protocol: 3, Algorithm: mdns.ECDSAP256SHA256}
	private, err := record.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		t.Fatalf("a key of type %T does not sign", private)
	}
	if s.keys == nil {
		s.keys = map[string]signingKey{}
	}
	s.keys[zone] = signingKey{record, signer}
	return strings.ReplaceAll(record.String(), "\t", " ")
}

func header(name string, rrtype uint16) mdns.RR_Header {
	return mdns.RR_Header{Name: mdns.Fqdn(name), Rrtype: rrtype, Class: mdns.ClassINET, Ttl: 300}
}

// zoneOf is the zone that a name belongs to.
func (s *Signed) zoneOf(name string) (zone string, ok bool) {
	for _, z := range s.Zones {
		if (name == z || strings.HasSuffix(name, "."+z)) && len(z) > len(zone) {
			zone, ok = z, true
		}
	}
	return zone, ok
}

// ServeDNS implements dns.Handler.
func (s *Signed) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	m := new(mdns.Msg)
	m.SetReply(q)
	name, qtype := dns.HostName(q.Question[0].Name), q.Question[0].Qtype
	zone, ok := s.zoneOf(name)
	if m.Authoritative = ok; !ok {
		m.Rcode = mdns.RcodeRefused
	} else if m.Answer = s.rrset(zone, name, qtype); len(m.Answer) == 0 {
		m.Ns = s.signed(zone, []mdns.RR{s.soa(zone)})
		m.Ns = append(m.Ns, s.denial(zone, name)...)
	} else {
		m.Answer = s.signed(zone, m.Answer)
	}
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, o.Do())
	}
	if strings.HasPrefix(w.RemoteAddr().Network(), "udp") {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m) // the client is gone: nobody to tell
}

func (s *Signed) soa(zone string) mdns.RR {
	return &mdns.SOA{Hdr: header(zone, mdns.TypeSOA), Ns: "ns." + mdns.Fqdn(zone), Mbox: "nobody." + mdns.Fqdn(zone), Serial: 1, Refresh: 300, Retry: 300, Expire: 300, Minttl: 300}
}

// rrset is the records of a type at a name; those of the apex come by themselves.
func (s *Signed) rrset(zone, name string, qtype uint16) []mdns.RR {
	if name == zone {
		switch qtype {
		case mdns.TypeSOA:
			return []mdns.RR{s.soa(zone)}
		case mdns.TypeNS:
			return []mdns.RR{&mdns.NS{Hdr: header(zone, mdns.TypeNS), Ns: "ns." + mdns.Fqdn(zone)}}
		case mdns.TypeDNSKEY:
			if k, ok := s.keys[zone]; ok {
				return []mdns.RR{k.record}
			}
			return nil
		}
	}
	if name == "ns."+zone && qtype == mdns.TypeA {
		rr, _ := mdns.NewRR(name + ". 300 IN A 127.0.0.1")
		return []mdns.RR{rr}
	}
	records, _, _ := Zone{Records: s.Records}.find(name, qtype)
	return records
}

// denial says which types a name has: none of those that were asked for.
func (s *Signed) denial(zone, name string) []mdns.RR {
	if _, ok := s.keys[zone]; !ok {
		return nil
	}
	types := []uint16{mdns.TypeRRSIG, mdns.TypeNSEC}
	for _, t := range []uint16{mdns.TypeA, mdns.TypeAAAA, mdns.TypeMX, mdns.TypeTXT, mdns.TypeTLSA, mdns.TypeSOA, mdns.TypeNS, mdns.TypeDNSKEY} {
		if len(s.rrset(zone, name, t)) > 0 {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return s.signed(zone, []mdns.RR{&mdns.NSEC{Hdr: header(name, mdns.TypeNSEC), NextDomain: `\000.` + mdns.Fqdn(name), TypeBitMap: types}})
}

// signed adds the signature of a set of records, if the zone has a key.
func (s *Signed) signed(zone string, set []mdns.RR) []mdns.RR {
	k, ok := s.keys[zone]
	if !ok {
		return set
	}
	now := time.Now()
	h := set[0].Header()
	sig := &mdns.RRSIG{Hdr: header(h.Name, mdns.TypeRRSIG), TypeCovered: h.Rrtype, Algorithm: k.record.Algorithm,
		Labels: uint8(mdns.CountLabel(h.Name)), OrigTtl: h.Ttl, KeyTag: k.record.KeyTag(), SignerName: mdns.Fqdn(zone), //nolint:gosec // a name has at most 127
		Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(time.Hour).Unix())} //nolint:gosec // serial numbers, RFC 4034 section 3.1.5
	if err := sig.Sign(k.signer, set); err != nil {
		panic("signing a zone of a test: " + err.Error())
	}
	if slices.Contains(s.Bogus, dns.HostName(h.Name)) {
		sig.Signature = strings.Repeat("A", len(sig.Signature)-2) + "=="
	}
	return append(slices.Clone(set), sig)
}
