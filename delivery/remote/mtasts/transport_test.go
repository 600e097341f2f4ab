package mtasts

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"gomaild/internal/dns/dnstest"
)

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for a, want := range map[string]bool{
		"8.8.8.8": true, "2600::1": true,
		"127.0.0.1": false, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.169.254": false, "100.64.1.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "fe80::1": false, "fc00::1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false,
	} {
		if got := isPublic(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

// TestTransport: a stranger's DNS does not lead the fetch to this host.
func TestTransport(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	zone := dnstest.Zone{Records: map[string][]string{"example.com": {"A 127.0.0.1"}}}
	_, port, _ := cutPort(server.Listener.Addr().String())
	ask := func(tr *http.Transport) error {
		tr.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		res, err := (&http.Client{Transport: tr}).Get("https://example.com:" + port + "/")
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	if err := ask(Transport(zone, nil)); !errors.Is(err, ErrForbidden) || asked {
		t.Errorf("loopback was asked: %v", err)
	}
	leave := func(a netip.Addr) bool { return a.IsLoopback() }
	if err := ask(Transport(zone, leave)); err != nil || !asked {
		t.Errorf("with leave: %v", err)
	}
	zone.Records["else.test"] = []string{"A 127.0.0.1"}
	_, err := (&http.Client{Transport: Transport(zone, leave)}).Get("https://else.test:" + port + "/")
	if got := FailureType(errors.Join(errFetch, err)); got != "sts-webpki-invalid" {
		t.Errorf("an unknown authority: %v is %s", err, got)
	}
}

func cutPort(addr string) (netip.Addr, string, error) {
	p, err := netip.ParseAddrPort(addr)
	return p.Addr(), addr[len(p.Addr().String())+1:], err
}
