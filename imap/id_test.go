package imap

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"gomaild/auth"
)

// addrAuth notes for whom logins are tried.
type addrAuth struct {
	fakeAuth
	from chan netip.Addr
}

func (a addrAuth) Login(ctx context.Context, c auth.Client, username, password string) (auth.Identity, error) {
	a.from <- c.Addr
	return a.fakeAuth.Login(ctx, c, username, password)
}

// TestOrigin holds that webmail may say for whom it logs in, and nobody else.
func TestOrigin(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, tt := range []struct {
		rule    string
		trusted []netip.Prefix
		id      string
		want    string
	}{
		{"a trusted client", loopback, `("name" "webmail" "x-originating-ip" "192.0.2.7")`, "192.0.2.7"},
		{"in capitals, IPv6", loopback, `("X-Originating-IP" "2001:db8::7")`, "2001:db8::7"},
		{"anybody", nil, `("x-originating-ip" "192.0.2.7")`, "127.0.0.1"},
		{"no address", loopback, `("x-originating-ip" "a.test")`, "127.0.0.1"},
		{"IPv4 as IPv6", loopback, `("x-originating-ip" "::ffff:192.0.2.7")`, "192.0.2.7"},
		{"a zone", loopback, `("x-originating-ip" "fe80::7%eth0")`, "127.0.0.1"},
		{"a port", loopback, `("x-originating-ip" "192.0.2.7:4711")`, "127.0.0.1"},
		{"no text", loopback, `("x-originating-ip" "")`, "127.0.0.1"},
		{"another field", loopback, `("x-originating-ip6" "192.0.2.7")`, "127.0.0.1"},
		{"NIL", loopback, `("x-originating-ip" NIL)`, "127.0.0.1"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			seen := addrAuth{from: make(chan netip.Addr, 1)}
			w := newWorld(t, func(c *Config) { c.Auth, c.TrustedNetworks = seen, tt.trusted })
			conn, err := net.Dial("tcp", w.listen())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(conn, "a ID %s\r\nb LOGIN alice secret\r\nc LOGOUT\r\n", tt.id)
			for in := bufio.NewScanner(conn); in.Scan(); {
			}
			if got := <-seen.from; got != netip.MustParseAddr(tt.want) {
				t.Errorf("login of %v", got)
			}
		})
	}
}
