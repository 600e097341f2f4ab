package spf

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
)

// suite is one scenario of the openspf test suite for RFC 7208: cases, and the
// names of its DNS with records of a type and a value each. TIMEOUT is a record
// that nobody gets.
type suite struct {
	Scenario string
	Cases    []struct {
		Name, Spec, Helo, Host, MailFrom, Explanation string
		Result                                        []string
	}
	Zone map[string][][]string
}

// suiteZone is the zone of a scenario. The suite was written with the type SPF
// besides TXT: a name that has no TXT, not even NONE, has those of type SPF.
type suiteZone map[string][][]string

func newSuiteZone(names map[string][][]string) suiteZone {
	z := suiteZone{}
	for name, records := range names {
		hasTXT := slices.ContainsFunc(records, func(r []string) bool { return r[0] == "TXT" })
		kept := [][]string{}
		for _, r := range records {
			switch {
			case r[0] == "SPF" && !hasTXT:
				kept = append(kept, []string{"TXT", r[1]})
			case r[0] != "SPF" && !slices.Equal(r, []string{"TXT", "NONE"}):
				kept = append(kept, r)
			}
		}
		z[strings.ToLower(name)] = kept
	}
	return z
}

func (z suiteZone) get(name, kind string) (all []string, err error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 10 {
		records, exists := z[name]
		if !exists {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		alias := ""
		for _, r := range records {
			switch r[0] {
			case kind:
				all = append(all, r[1:]...)
			case "CNAME":
				alias = r[1]
			case "TIMEOUT", "CNAMELOOP":
				err = errors.New("timeout")
			}
		}
		switch {
		case len(all) > 0:
			return all, nil
		case err != nil:
			return nil, err
		case alias == "":
			return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
		}
		name = strings.ToLower(strings.TrimSuffix(alias, "."))
	}
	return nil, errors.New("aliases in a circle")
}

func (z suiteZone) LookupTXT(_ context.Context, name string) ([]string, error) {
	return z.get(name, "TXT")
}

func (z suiteZone) LookupMX(_ context.Context, name string) (all []*net.MX, err error) {
	found, err := z.get(name, "MX")
	for i := 0; i+1 < len(found); i += 2 {
		all = append(all, &net.MX{Host: found[i]})
	}
	return all, err
}

func (z suiteZone) LookupNetIP(_ context.Context, network, name string) (all []netip.Addr, err error) {
	found, err := z.get(name, map[string]string{"ip4": "A", "ip6": "AAAA"}[network])
	for _, a := range found {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, err
}

func (z suiteZone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	ip := netip.MustParseAddr(addr)
	name := "ip6.arpa"
	if ip.Is4() {
		name = "in-addr.arpa"
	}
	const digits = "0123456789abcdef"
	for _, b := range ip.AsSlice() {
		if ip.Is4() {
			name = netip.AddrFrom4([4]byte{0, 0, 0, b}).String()[len("0.0.0."):] + "." + name
		} else {
			name = string(digits[b&15]) + "." + string(digits[b>>4]) + "." + name
		}
	}
	return z.get(name, "PTR")
}

// TestOpenSPF runs every case of the openspf test suite, release 2014.04.
func TestOpenSPF(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/openspf.json")
	if err != nil {
		t.Fatal(err)
	}
	var suites []suite
	if err := json.Unmarshal(text, &suites); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, s := range suites {
		z := newSuiteZone(s.Zone)
		for _, c := range s.Cases {
			ran++
			from := mail.ReversePath{}
			if c.MailFrom != "" {
				at := strings.LastIndexByte(c.MailFrom, '@')
				from.Address = mail.Address{Local: c.MailFrom[:max(at, 0)], Domain: c.MailFrom[at+1:]}
			}
			got := Check(t.Context(), z, netip.MustParseAddr(c.Host), c.Helo, from)
			if !slices.Contains(c.Result, string(got.Result)) {
				t.Errorf("%s, %s (RFC 7208 %s): %s (%s), want %v", s.Scenario, c.Name, c.Spec, got.Result, got.Reason, c.Result)
			}
		}
	}
	if ran != 203 {
		t.Errorf("ran %d cases", ran)
	}
}
