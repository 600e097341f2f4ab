package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	mdns "github.com/miekg/dns"

	"gomaild/delivery/queue"
	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/internal/peertest"
	"gomaild/smtp/client/clienttest"
)

// selfSigned is the TLS of a mail exchanger that no authority knows.
func selfSigned(t *testing.T) (*tls.Config, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, leaf
}

// serveSink lets a host listen at an address of loopback that is not ours; seen
// hears of each connection.
func serveSink(t *testing.T, s *clienttest.Sink, seen ...func(net.Conn)) (addr, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for _, look := range seen {
				look(conn)
			}
			running.Go(func() {
				end := time.AfterFunc(time.Minute, func() { _ = conn.Close() })
				defer end.Stop()
				s.Serve(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	addr, port, _ = net.SplitHostPort(l.Addr().String())
	return addr, port
}

// startUnbound runs a validating resolver that asks one server about its zones, and
// nobody about anything else.
func startUnbound(t *testing.T, server string, zones []string, anchor string) (addr string) {
	t.Helper()
	program := peertest.Need(t, "/usr/sbin/unbound", "unbound")
	dir, port := t.TempDir(), peertest.FreePort(t)
	host, serverPort, _ := net.SplitHostPort(server)
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n directory: %q\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"log\"\n verbosity: 1\n val-log-level: 2\n"+
		" interface: 127.0.0.1@%d\n outgoing-interface: 127.0.0.1\n do-ip6: no\n do-not-query-localhost: no\n num-threads: 1\n"+
		" module-config: \"validator iterator\"\n local-zone: \"test.\" nodefault\n", dir, port)
	fmt.Fprintf(&b, " trust-anchor: %q\nremote-control:\n control-enable: no\n", anchor)
	for _, z := range append([]string{"."}, zones...) {
		fmt.Fprintf(&b, "stub-zone:\n name: %q\n stub-addr: %s@%s\n stub-prime: no\n", z, host, serverPort)
	}
	if err := os.WriteFile(dir+"/unbound.conf", []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-d", "-c", dir+"/unbound.conf")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("log of unbound:\n%.10000s", log)
		}
	})
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-look.C {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return addr
		}
	}
	t.Fatal("unbound does not listen")
	return ""
}

// awaitReply waits until the queue says of a recipient what it waits for.
func (w *world) awaitReply(t *testing.T, to, want string) string {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	last := ""
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); <-look.C {
		for e, err := range queue.List(w.outgoing.Load().dir, queue.Selection{To: to}) {
			if err != nil {
				t.Fatal(err)
			}
			if last = e.To[0].Last; strings.Contains(last, want) {
				return last
			}
		}
	}
	t.Errorf("mail to %s waits for %q, not for %q", to, last, want)
	return last
}

// awaitMessages waits for n messages and returns all.
func awaitMessages(t *testing.T, s *clienttest.Sink, n int) []clienttest.Message {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); <-look.C {
		if got := s.Messages(); len(got) >= n {
			return got
		}
	}
	t.Fatalf("%d messages came, of %d", len(s.Messages()), n)
	return nil
}

// TestDANE: mail goes by TLSA records where they are signed, which a real
// validator says of zones that the test signs: by the right record, not by a
// wrong one, and with whatever there is where there is none. Records that are not
// signed mean nothing, and neither does the word of a resolver that is not trusted.
func TestDANE(t *testing.T) {
	t.Parallel()
	conf, cert := selfSigned(t)
	_, other := selfSigned(t)
	far := &clienttest.Sink{Extensions: []string{"STARTTLS", "REQUIRETLS"}, TLS: conf}
	host, port := serveSink(t, far)
	record := func(c *x509.Certificate) string {
		r := &mdns.TLSA{}
		if err := r.Sign(3, 1, 1, c); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("TLSA 3 1 1 %s", r.Certificate)
	}
	zones := &dnstest.Signed{Zones: []string{"test", "loose.example"}, Bogus: []string{"_" + port + "._tcp.mx.bogus.test"}, Records: map[string][]string{
		"right.test": {"MX 10 mx.right.test.", `TXT "v=spf1 -all"`}, "mx.right.test": {"A " + host}, "_" + port + "._tcp.mx.right.test": {record(other), record(cert)},
		"wrong.test": {"MX 10 mx.wrong.test."}, "mx.wrong.test": {"A " + host}, "_" + port + "._tcp.mx.wrong.test": {record(other)},
		"none.test": {"MX 10 mx.none.test."}, "mx.none.test": {"A " + host},
		"bogus.test": {"MX 10 mx.bogus.test."}, "mx.bogus.test": {"A " + host}, "_" + port + "._tcp.mx.bogus.test": {record(cert)},
		"loose.example": {"MX 10 mx.loose.example."}, "mx.loose.example": {"A " + host}, "_" + port + "._tcp.mx.loose.example": {record(other)},
	}}
	anchor := zones.Sign(t, "test")
	resolver := startUnbound(t, dnstest.Serve(t, zones), zones.Zones, anchor)
	if txt, err := dns.LookupTXT(t.Context(), dns.New(dns.Config{Servers: []dns.Server{{Addr: resolver}}}), "right.test"); err != nil || len(txt) != 1 || txt[0] != "v=spf1 -all" {
		t.Fatalf("TXT: %q, %v", txt, err)
	}
	begin := func(trusted bool) *world {
		w := newWorld(t)
		var maps []string
		for _, d := range []string{"right.test", "wrong.test", "none.test", "bogus.test", "loose.example"} {
			maps = append(maps, d+"=smtp:"+d+":"+port)
		}
		head := fmt.Sprintf("dns.servers = [%q]\ndns.trusted = %v\nrouting.transport_maps = [\"inline:{%s}\"]\nremote.tls = \"dane\"\nremote.mta_sts = false\nqueue.schedule = [\"1h\"]\n",
			resolver, trusted, strings.Join(maps, ", "))
		d, err := New(w.config(t, head, listeners), Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.Daemon = d
		return w.start(t)
	}
	w := begin(true)
	for i, tt := range []struct{ rule, domain, reply string }{
		{"the right record", "right.test", ""},
		{"no record: TLS with whoever it is", "none.test", ""},
		{"a record that is not signed", "loose.example", ""},
		{"a wrong record", "wrong.test", "451 4.7.5 Host mx.wrong.test has no TLS as the policy wants it"},
		{"a record whose signature is wrong", "bogus.test", "451 4.7.5 Host mx.bogus.test could not be asked for its certificates"},
	} {
		if err := w.submitTo(t, "x@"+tt.domain, tt.rule); err != nil {
			t.Fatal(err)
		}
		if tt.reply != "" {
			w.awaitReply(t, "x@"+tt.domain, tt.reply)
			continue
		}
		if got := awaitMessages(t, far, i+1)[i]; !got.OnTLS || !strings.Contains(got.Content, "Subject: "+tt.rule) {
			t.Errorf("%s: %+v", tt.rule, got)
		}
	}
	// What a message says of TLS itself (RFC 8689) comes first.
	for _, tt := range []struct{ to, header, reply string }{
		{"sure@right.test", "", ""},
		{"sure@none.test", "", "451 4.7.5 Host mx.none.test has no TLS as the policy wants it"},
		{"sure@loose.example", "", "451 4.7.30 Host mx.loose.example is named by neither DNSSEC nor MTA-STS"},
		{"anyway@wrong.test", "TLS-Required: No\r\n", ""},
	} {
		before := len(far.Messages())
		if err := w.submitAs(t, "bob", tt.to, &gosmtp.MailOptions{RequireTLS: tt.header == ""}, tt.header+content("to "+tt.to)); err != nil {
			t.Fatal(err)
		}
		if tt.reply != "" {
			w.awaitReply(t, tt.to, tt.reply)
			continue
		}
		if got := awaitMessages(t, far, before+1)[before]; strings.HasSuffix(got.From, " REQUIRETLS") != (tt.header == "") || !strings.Contains(got.Content, "Subject: to "+tt.to) {
			t.Errorf("%s: %+v", tt.to, got)
		}
	}
	before := len(far.Messages())
	w = begin(false)
	if err := w.submitTo(t, "x@wrong.test", "not trusted"); err != nil {
		t.Fatal(err)
	}
	if got := awaitMessages(t, far, before+1)[before]; !got.OnTLS || !strings.Contains(got.Content, "Subject: not trusted") {
		t.Errorf("AD of a resolver that is not trusted: %+v", got)
	}
}
