package listener

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// tellAddresses answers with the addresses that it sees and the first line.
var tellAddresses = handlerFunc(func(_ context.Context, _ <-chan struct{}, conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Fprintf(conn, "%v %v %q %v\n", conn.RemoteAddr(), conn.LocalAddr(), line, err)
})

func header2(t testing.TB, command proxyproto.ProtocolVersionAndCommand) string {
	t.Helper()
	h := proxyproto.Header{
		Version: 2, Command: command, TransportProtocol: proxyproto.TCPv6,
		SourceAddr:      &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711},
		DestinationAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 25},
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// raw2 is a header of version 2, octet by octet.
func raw2(versionAndCommand, family byte, rest string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{versionAndCommand, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

// address4 is 192.0.2.7:4711, to 192.0.2.1:25.
const address4 = "\xc0\x00\x02\x07\xc0\x00\x02\x01\x12\x67\x00\x19"

// TestProxy holds whom a proxy's connections are believed to come from.
func TestProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    string
		proxies []netip.Prefix
		send    string
		want    string // beginning of the answer; "" for a connection closed without one
	}{
		{"version 1", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nhello\n", `192.0.2.7:4711 192.0.2.1:25 "hello\n"`},
		{"version 1, IPv6", loopback, "PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\nhello\n", `[2001:db8::7]:4711 [2001:db8::1]:25 "hello\n"`},
		{"version 2", loopback, header2(t, proxyproto.PROXY) + "hello\n", `[2001:db8::7]:4711 [2001:db8::1]:25 "hello\n"`},
		{"a check of the proxy itself", loopback, header2(t, proxyproto.LOCAL) + "hello\n", "127.0.0.1:"},
		{"unknown: the proxy's own address", loopback, "PROXY UNKNOWN\r\nhello\n", "127.0.0.1:"},
		{"no header: closed", loopback, "EHLO x\r\n", ""},
		{"a broken header: closed", loopback, "PROXY TCP4 192.0.2.999 192.0.2.1 4711 25\r\nhello\n", ""},
		{"an endless header: closed", loopback, "PROXY TCP4 " + strings.Repeat("1", 3000) + "\r\n", ""},
		{"no proxy: the header is data", nil, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n", "127.0.0.1:"},
		{"no proxy: so is one of version 2", nil, header2(t, proxyproto.PROXY) + "\n", "127.0.0.1:"},
		{"a proxy elsewhere", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n", "127.0.0.1:"},
		{"the longest header of version 1", loopback, "PROXY UNKNOWN " + strings.Repeat("f", 107-len("PROXY UNKNOWN \r\n")) + "\r\nhello\n", "127.0.0.1:"},
		{"version 1, longer", loopback, "PROXY UNKNOWN " + strings.Repeat("f", 108-len("PROXY UNKNOWN \r\n")) + "\r\nhello\n", ""},
		{"version 1, in small letters", loopback, "proxy tcp4 192.0.2.7 192.0.2.1 4711 25\r\nhello\n", ""},
		{"version 1, a bare LF", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\nhello\r\n", ""},
		{"version 1, two blanks", loopback, "PROXY TCP4  192.0.2.7 192.0.2.1 4711 25\r\nhello\n", ""},
		{"version 1, a port less", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\nhello\n", ""},
		{"version 1, a port too high", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\nhello\n", ""},
		{"version 1, a port below 0", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\nhello\n", ""},
		{"version 1, IPv6 called IPv4", loopback, "PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\nhello\n", ""},
		{"version 1, a zone", loopback, "PROXY TCP6 fe80::7%eth0 2001:db8::1 4711 25\r\nhello\n", ""},
		{"version 1, another protocol", loopback, "PROXY UDP4 192.0.2.7 192.0.2.1 4711 25\r\nhello\n", ""},
		{"a second header is data", loopback, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nPROXY TCP4 192.0.2.9 192.0.2.1 4711 25\r\n", `192.0.2.7:4711 192.0.2.1:25 "PROXY TCP4 192.0.2.9`},
		{"version 2, IPv4", loopback, raw2(0x21, 0x11, address4) + "hello\n", `192.0.2.7:4711 192.0.2.1:25 "hello\n"`},
		{"version 2, TLVs are passed over", loopback, raw2(0x21, 0x11, address4+"\x04\x0b\xb8"+strings.Repeat("x", 3000)) + "hello\n", `192.0.2.7:4711 192.0.2.1:25 "hello\n"`},
		{"version 2, a TLV longer than the header says", loopback, raw2(0x21, 0x11, address4+"\x04\xff\xffx") + "hello\n", `192.0.2.7:4711 192.0.2.1:25 "hello\n"`},
		{"version 2, more TLVs than anybody sends", loopback, raw2(0x21, 0x11, address4+strings.Repeat("\x04\x00\x00", 20_000)) + "hello\n", ""},
		{"version 2, half an address", loopback, raw2(0x21, 0x11, address4[:8]) + "hello\n", ""},
		{"version 2, IPv4 called IPv6", loopback, raw2(0x21, 0x21, address4) + "hello\n", ""},
		{"version 2, no such version", loopback, raw2(0x31, 0x11, address4) + "hello\n", ""},
		{"version 2, no such command", loopback, raw2(0x2f, 0x11, address4) + "hello\n", ""},
		{"version 2, no such family", loopback, raw2(0x21, 0x41, address4) + "hello\n", ""},
		{"version 2, no such transport", loopback, raw2(0x21, 0x13, address4) + "hello\n", ""},
		{"version 2, UDP is nobody's", loopback, raw2(0x21, 0x12, address4) + "hello\n", "127.0.0.1:"},
		{"version 2, a unix socket: the proxy's own address", loopback, raw2(0x21, 0x31, strings.Repeat("x", 216)) + "hello\n", "127.0.0.1:"},
		{"version 2, a check with addresses", loopback, raw2(0x20, 0x11, address4) + "hello\n", "127.0.0.1:"},
		{"version 2, a check with what is no address", loopback, raw2(0x20, 0x00, "xyz") + "hello\n", "127.0.0.1:"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			l := New(Config{Address: "127.0.0.1:0", Handler: tellAddresses, Proxies: tt.proxies})
			if err := l.Listen(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer l.Stop(t.Context())
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tt.send); err != nil && tt.want != "" { // what is refused may be closed sooner
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			got, _ := io.ReadAll(conn) // a reset is a closed connection too
			if !strings.HasPrefix(string(got), tt.want) || (tt.want == "") != (len(got) == 0) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestProxyLimits holds that connections are counted for the client behind the
// proxy, not for the proxy.
func TestProxyLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		start(t, Config{Handler: tellAddresses, Proxies: loopback, MaxPerClient: 1, Busy: "busy\r\n"}, ln)
		read := func(conn net.Conn) string {
			b := make([]byte, 100)
			n, _ := conn.Read(b)
			return string(b[:n])
		}
		header := func(client string) string { return "PROXY TCP4 " + client + " 192.0.2.1 4711 25\r\n" }
		first := ln.dial("127.0.0.1")
		io.WriteString(first, header("192.0.2.7"))
		synctest.Wait() // it is counted
		second := ln.dial("127.0.0.1")
		io.WriteString(second, header("192.0.2.7"))
		if got := read(second); got != "busy\r\n" {
			t.Errorf("the client's second connection: %q", got)
		}
		third := ln.dial("127.0.0.1")
		io.WriteString(third, header("192.0.2.8")+"hello\n")
		if got := read(third); !strings.HasPrefix(got, "192.0.2.8:4711") {
			t.Errorf("another client: %q", got)
		}
		first.Close()
		synctest.Wait()
		fourth := ln.dial("127.0.0.1")
		io.WriteString(fourth, header("192.0.2.7")+"hello\n")
		if got := read(fourth); !strings.HasPrefix(got, "192.0.2.7:4711") {
			t.Errorf("after the first has ended: %q", got)
		}
		for _, c := range []net.Conn{second, third, fourth} {
			c.Close()
		}
	})
}

// TestProxyThatIsSilent holds that a header is waited for as long as for a
// handshake, and no longer than until the drain.
func TestProxyThatIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		l := start(t, Config{Handler: tellAddresses, Proxies: loopback}, ln)
		conn := ln.dial("127.0.0.1")
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != DefaultHandshakeTimeout {
			t.Errorf("ended after %v with %v", time.Since(began), err)
		}
		conn = ln.dial("127.0.0.1")
		synctest.Wait()
		began = time.Now()
		l.Drain()
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != 0 {
			t.Errorf("drained after %v with %v", time.Since(began), err)
		}
	})
}

// FuzzProxy holds that no first octets make a listener panic or hang.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nhello\n"))
	f.Add([]byte(header2(f, proxyproto.PROXY)))
	f.Add([]byte(header2(f, proxyproto.LOCAL)))
	f.Fuzz(func(t *testing.T, input []byte) {
		client, server := net.Pipe()
		done := make(chan struct{})
		l := New(Config{Handler: tellAddresses, Proxies: loopback})
		go func() {
			defer close(done)
			defer server.Close()
			real, err := l.unveil(t.Context(), server)
			if err == nil && (real.RemoteAddr() == nil || real.LocalAddr() == nil) {
				t.Error("no address")
			}
		}()
		_ = client.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = client.Write(input) // it may close first
		client.Close()
		<-done
		l.running.Wait()
	})
}
