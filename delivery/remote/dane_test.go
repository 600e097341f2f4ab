package remote

import (
	"crypto/x509"
	"testing"

	mdns "github.com/miekg/dns"
)

// FuzzTLSA holds that no record fits a certificate that it was not made of.
func FuzzTLSA(f *testing.F) {
	f.Add(uint8(3), uint8(1), uint8(1), "00")
	f.Add(uint8(2), uint8(0), uint8(0), "zz")
	f.Add(uint8(9), uint8(9), uint8(9), "")
	chain := []*x509.Certificate{{Raw: []byte("leaf"), RawSubjectPublicKeyInfo: []byte("key")}, {Raw: []byte("authority")}}
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data string) {
		r := &mdns.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Certificate: data}
		usable := usableTLSA([]mdns.RR{r, &mdns.A{}})
		if len(usable) > 0 && verifyDANE(usable, chain, []string{"mx.y.test"}) == nil && r.Verify(chain[0]) != nil {
			t.Fatalf("%+v fits", r)
		}
		if verifyDANE(usable, nil, nil) == nil {
			t.Fatal("no certificate fits")
		}
	})
}
