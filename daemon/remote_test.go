package daemon

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/delivery/remote/tlsrpt"
	"gomaild/internal/config"
	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/mail"
	"gomaild/smtp/client"
)

// TestTimeoutsOfHosts: each key of [remote.timeouts] is the time of its step.
func TestTimeoutsOfHosts(t *testing.T) {
	t.Parallel()
	c := newWorld(t).config(t, "remote.timeouts = { connect = \"1s\", greeting = \"2s\", command = \"3s\", tls = \"4s\", data = \"5s\", block = \"6s\", end_of_data = \"7s\", quit = \"8s\" }\n", listeners)
	want := client.Timeouts{Greeting: 2 * time.Second, Command: 3 * time.Second, TLS: 4 * time.Second, Data: 5 * time.Second, Block: 6 * time.Second, EndOfData: 7 * time.Second, Quit: 8 * time.Second}
	if got := timeouts(c.Remote.Timeouts); got != want || c.Remote.Timeouts.Connect != config.Duration(time.Second) {
		t.Errorf("got %+v after %v, want %+v", got, c.Remote.Timeouts.Connect, want)
	}
}

// TestWays: relay hosts, logins and TLS policies by their tables.
func TestWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(w.path("login"), []byte("all\nsecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.config(t, "remote.relay_host = \"[all.test]:587\"\nremote.relay_login_file = \""+w.path("login")+"\"\nremote.tls = \"encrypt\"\n"+
		"remote.sender_relay_maps = [\"inline:{a@x.test=[own.test]:2525, @y.test=hub.test, b@y.test=DUNNO}\"]\n"+
		"remote.password_maps = [\"inline:{a@x.test=anna:p:w, [own.test]:2525=own:x, hub.test=hub:y}\"]\n"+
		"remote.tls_policy_maps = [\"inline:{ {[own.test]:2525 = verify match=hostname}, .deep.test=secure, deep.test=none }\"]\n", listeners)
	ways, err := newWays(c, w.log)
	if err != nil {
		t.Fatal(err)
	}
	far := queue.Destination{Transport: "smtp", Host: "far.test"}
	for _, tt := range []struct{ rule, from, want string }{
		{"for all", "c@z.test", "smtp:[all.test]:587 all/secret encrypt"},
		{"the sender's own", "a@x.test", "smtp:[own.test]:2525 anna/p:w verify"},
		{"the sender's domain's", "c@y.test", "smtp:hub.test hub/y encrypt"},
		{"DUNNO is that for all", "b@y.test", "smtp:[all.test]:587 all/secret encrypt"},
		{"the null reverse-path", "@", "smtp:[all.test]:587 all/secret encrypt"},
	} {
		local, domain, _ := strings.Cut(tt.from, "@")
		from := mail.ReversePath{Address: mail.Address{Local: local, Domain: domain}}
		to := ways.relay(far, from)
		hop := mail.NextHop{Host: to.Host, Port: to.Port, NoMX: to.NoMX}
		login, _ := ways.login(hop, from)
		policy, err := ways.policy(hop)
		if got := fmt.Sprintf("%s %s/%s %s", to, login.Name, login.Password, policy.Level); got != tt.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", tt.rule, got, err, tt.want)
		}
	}
	direct := far
	direct.Direct = true
	if got := ways.relay(direct, mail.ReversePath{}); got != direct {
		t.Errorf("a transport's own way went by %s", got)
	}
	for host, want := range map[string]remote.Level{"deep.test": remote.None, "x.deep.test": remote.Secure, "other.test": remote.Encrypt} {
		if p, err := ways.policy(mail.NextHop{Host: host}); p.Level != want || err != nil {
			t.Errorf("%s: %v, %v", host, p.Level, err)
		}
	}
	for _, bad := range []string{"remote.sender_relay_maps = [\"static:[x\"]\n", "remote.password_maps = [\"static:name only\"]\n", "remote.tls_policy_maps = [\"static:sometimes\"]\n"} {
		key, _, _ := strings.Cut(bad, " ")
		if _, err := newWays(w.config(t, bad, listeners), w.log); err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "name only") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestKeptPolicy: an MTA-STS policy on the mount counts, and what came of it is
// reported to the domain, which asks for that.
func TestKeptPolicy(t *testing.T) {
	t.Parallel()
	s, addr := newSinkAt(t, "127.0.0.2:0") // without TLS; not at an address that is ours
	host, port, _ := net.SplitHostPort(addr)
	zone := dnstest.Zone{Records: map[string][]string{
		"far.test": {"MX 10 mx.far.test."}, "mx.far.test": {"A " + host},
		"_smtp._tls.far.test": {"TXT \"v=TLSRPTv1; rua=mailto:reports@free.test\""},
		"free.test":           {"MX 10 mx.far.test."},
		"_smtp._tls.web.test": {"TXT \"v=TLSRPTv1; rua=https://reports.web.test/tls\""},
	}}
	w := newWorld(t)
	if err := os.MkdirAll(w.path("mail/"+stsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf("id1\n%d\n\nversion: STSv1\nmode: enforce\nmx: mx.far.test\nmax_age: 86400\n", time.Now().Unix())
	if err := os.WriteFile(w.path("mail/"+stsDir+"/far.test"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("dns.servers = [%q]\nrouting.transport_maps = [\"inline:{far.test=smtp:far.test:%s, free.test=smtp:free.test:%s}\"]\nremote.tls_report_from = \"postmaster@example.test\"\n", dnstest.Serve(t, zone), port, port)
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	// Another domain wants its report over HTTPS.
	var posted []byte
	takes := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !takes {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err == nil {
			posted, err = io.ReadAll(z)
		}
		if err != nil || r.Host != "reports.web.test" || r.URL.Path != "/tls" {
			t.Errorf("%s %s: %v", r.Host, r.URL, err)
		}
	}))
	defer server.Close()
	through := server.Client().Transport.(*http.Transport).Clone()
	through.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	through.TLSClientConfig.ServerName = "example.com" // of httptest's certificate
	w.https = func(dns.Resolver) http.RoundTripper { return through }
	w.start(t)
	if err := w.submitTo(t, "x@far.test", "only with TLS"); err != nil {
		t.Fatal(err)
	}
	limit := time.Now().Add(20 * time.Second)
	var domains map[string][]string
	tomorrow := time.Now().Add(24 * time.Hour)
	for len(domains) == 0 && time.Now().Before(limit) {
		_, domains = w.tlsReports.Due(tomorrow)
	}
	if len(domains) == 0 {
		t.Fatal("nothing was counted")
	}
	if err := w.sendTLSReports(t.Context(), tomorrow); err != nil {
		t.Fatal(err)
	}
	got := s.await(t, 1)[0]
	if !strings.HasPrefix(got, "postmaster@example.test > reports@free.test\n") || !strings.Contains(got, "TLS-Report-Domain: far.test") {
		t.Fatalf("got %s", got)
	}
	_, packed, _ := strings.Cut(got, "json.gz\"\r\n\r\n")
	packed, _, _ = strings.Cut(packed, "\r\n--")
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"policy-type":"sts","policy-string":["version: STSv1"`, `"result-type":"starttls-not-supported"`, `"receiving-mx-hostname":"mx.far.test"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	// It stays due while the server there does not take it.
	w.tlsReports.Add(time.Now(), tlsrpt.Result{Domain: "web.test", Policy: "no-policy-found", Host: "mx.web.test"})
	for _, takes = range []bool{false, true} {
		if err := w.sendTLSReports(t.Context(), tomorrow); err != nil {
			t.Fatal(err)
		}
		if _, domains = w.tlsReports.Due(tomorrow); len(domains) != 0 == takes {
			t.Errorf("it takes the report: %v; due are %v", takes, domains)
		}
	}
	if !strings.Contains(string(posted), `"policy-domain":"web.test"`) {
		t.Errorf("posted %s", posted)
	}
	if n := w.outgoing.Load().queue.Stats().Messages; n == 0 || len(s.got) != 1 {
		t.Errorf("%d messages in the queue, %d came; one waits for TLS", n, len(s.got))
	}
	saved, err := w.tlsReports.Save()
	if err != nil {
		t.Fatal(err)
	}
	if err := tlsrpt.New().Load(saved); err != nil {
		t.Error(err)
	}
}
