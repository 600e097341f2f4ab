package remote_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gomaild/delivery/remote"
	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/mail"
)

// backend is a go-smtp server that keeps what it gets.
type backend struct{ got chan string }

// NewSession implements smtp.Backend.
func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b backend) Reset()                                      {}
func (b backend) Logout() error                               { return nil }
func (b backend) Mail(string, *smtp.MailOptions) error        { return nil }
func (b backend) Rcpt(to string, _ *smtp.RcptOptions) error {
	if to == "no@y.test" {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox"}
	}
	return nil
}
func (b backend) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	b.got <- string(data)
	return err
}

// TestPeer goes all the way over real sockets: the resolver, the default
// dialer from a source address, STARTTLS, and a server that is not ours.
func TestPeer(t *testing.T) {
	t.Parallel()
	zone := dnstest.Zone{Records: map[string][]string{"y.test": {"MX 10 mx.y.test."}, "mx.y.test": {"A 127.0.0.1"}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := backend{make(chan string, 2)}
	srv := smtp.NewServer(b)
	srv.Domain, srv.EnableDSN, srv.EnableSMTPUTF8 = "mx.y.test", true, true
	srv.TLSConfig = newAuthority(t).server(t, false, "mx.y.test")
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		<-served
	})
	a := remote.New(remote.Config{
		HELO: "me.test", Source: netip.MustParseAddr("127.0.0.2"), Port: netip.MustParseAddrPort(ln.Addr().String()).Port(),
		Resolver: dns.New(dns.Config{Servers: []dns.Server{{Addr: dnstest.Serve(t, zone)}}}),
		Policy:   func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: remote.Encrypt}, nil },
		Idle:     time.Minute,
	})
	defer a.Close()
	for range 2 {
		results := a.Deliver(t.Context(), job("y.test", "b", "no"))
		if results[0].Err != nil || !results[0].TookDSN || outcomes(results)[1] != "5.1.1" {
			t.Fatalf("%+v", results)
		}
		if got := <-b.got; got != content {
			t.Errorf("arrived: %q", got)
		}
	}
}
