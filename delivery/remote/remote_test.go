package remote_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/internal/dns/dnstest"
	"gomaild/mail"
	"gomaild/smtp/client/clienttest"
)

const content = "From: a@x.test\r\n\r\nbody\r\n"

// world is a network of sinks by address, and a zone.
type world struct {
	sinks map[string]*clienttest.Sink
	zone  dnstest.Zone

	mu     sync.Mutex
	dialed []string
}

func newWorld() *world {
	w := &world{sinks: map[string]*clienttest.Sink{
		"192.0.2.1":   {Name: "mx1.y.test", Extensions: []string{"PIPELINING", "DSN"}},
		"192.0.2.2":   {Name: "mx2.y.test"},
		"192.0.2.3":   {Name: "implicit.test"},
		"2001:db8::1": {Name: "six.test"},
	}}
	w.zone.Records = map[string][]string{
		"y.test":        {"MX 10 mx1.y.test.", "MX 20 mx2.y.test."},
		"mx1.y.test":    {"A 192.0.2.1"},
		"mx2.y.test":    {"A 192.0.2.2"},
		"implicit.test": {"A 192.0.2.3"},
		"null.test":     {"MX 0 ."},
		"six.test":      {"AAAA 2001:db8::1"},
		"bare.test":     {"TXT nothing"},
		"nohost.test":   {"MX 1 gone.test."},
		"self.test":     {"MX 10 me.test.", "MX 20 mx2.y.test."},
		"backup.test":   {"MX 5 mx1.y.test.", "MX 10 self.test.", "MX 20 mx2.y.test."},
		"zero.test":     {"A 0.0.0.0"},
		"dead.test":     {"MX 10 dead1.test.", "MX 20 mx2.y.test."},
		"dead1.test":    {"A 192.0.2.99"},
	}
	w.zone.Records["me.test"] = []string{"A 192.0.2.200"}
	w.zone.Records["self.test"] = append(w.zone.Records["self.test"], "A 192.0.2.200")
	w.zone.Fail = []string{"broken.test", "A nohostyet.test", "AAAA nohostyet.test"}
	return w
}

func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, address)
	w.mu.Unlock()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s := w.sinks[host]
	if s == nil {
		return nil, errors.New("connection refused")
	}
	return s.Dial(), nil
}

func (w *world) agent(t *testing.T, change func(*remote.Config)) *remote.Agent {
	cfg := remote.Config{HELO: "me.test", Resolver: w.zone, Dial: w.dial, Idle: -1,
		IsSelf: func(ip netip.Addr) bool { return ip == netip.MustParseAddr("192.0.2.200") }}
	if change != nil {
		change(&cfg)
	}
	a := remote.New(cfg)
	t.Cleanup(a.Close)
	return a
}

func job(domain string, locals ...string) queue.Job {
	j := queue.Job{ID: "q1", From: mail.ReversePath{Address: mail.Address{Local: "a", Domain: "x.test"}},
		Destination: queue.Destination{Transport: "smtp", Host: domain}, Content: strings.NewReader(content), Attempt: 1}
	for _, l := range locals {
		j.To = append(j.To, mail.Recipient{Address: mail.Address{Local: l, Domain: "y.test"}})
	}
	return j
}

func outcomes(results []queue.Result) (list []string) {
	for _, r := range results {
		if r.Err == nil {
			list = append(list, "ok "+r.RemoteMTA)
		} else {
			list = append(list, mail.StatusOf(r.Err).Enhanced)
		}
	}
	return list
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.agent(t, nil)
	for _, tt := range []struct {
		rule string
		to   queue.Destination
		want string
	}{
		{"the best exchanger", queue.Destination{Host: "y.test"}, "ok mx1.y.test"},
		{"an implicit MX", queue.Destination{Host: "implicit.test"}, "ok implicit.test"},
		{"IPv6", queue.Destination{Host: "six.test"}, "ok six.test"},
		{"NoMX is a host", queue.Destination{Host: "mx2.y.test", NoMX: true}, "ok mx2.y.test"},
		{"an address literal", queue.Destination{Host: "[192.0.2.2]"}, "ok [192.0.2.2]:25"},
		{"an IPv6 literal", queue.Destination{Host: "[IPv6:2001:db8::1]"}, "ok [2001:db8::1]:25"},
		{"the next exchanger where the best is dead", queue.Destination{Host: "dead.test"}, "ok mx2.y.test"},
		{"a better exchanger than ourselves", queue.Destination{Host: "backup.test"}, "ok mx1.y.test"},
		{"we are the best exchanger", queue.Destination{Host: "self.test"}, "5.4.6"},
		{"our own address as a literal", queue.Destination{Host: "[192.0.2.200]"}, "5.4.6"},
		{"null MX", queue.Destination{Host: "null.test"}, "5.1.10"},
		{"no such domain", queue.Destination{Host: "nothing.test"}, "5.1.2"},
		{"neither MX nor address", queue.Destination{Host: "bare.test"}, "5.4.4"},
		{"an exchanger that does not exist", queue.Destination{Host: "nohost.test"}, "5.4.4"},
		{"an address that is none", queue.Destination{Host: "zero.test"}, "5.4.4"},
		{"SERVFAIL is temporary", queue.Destination{Host: "broken.test"}, "4.4.3"},
		{"a named host that does not exist is temporary", queue.Destination{Host: "nothing.test", NoMX: true}, "4.4.4"},
		{"nobody listens", queue.Destination{Host: "dead1.test"}, "4.4.1"},
	} {
		j := job("", "b")
		tt.to.Transport = "smtp"
		j.Destination = tt.to
		if got := outcomes(a.Deliver(t.Context(), j)); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %v, want %s", tt.rule, got, tt.want)
		}
	}
}

func TestPreferenceIsRandomAmongEquals(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.zone.Records["y.test"] = []string{"MX 10 mx1.y.test.", "MX 10 mx2.y.test."}
	a := w.agent(t, nil)
	met := map[string]bool{}
	for range 64 {
		met[a.Deliver(t.Context(), job("y.test", "b"))[0].RemoteMTA] = true
	}
	if len(met) != 2 {
		t.Errorf("64 messages went to %v only", met)
	}
}

// TestSevenBit: a host without 8BITMIME gets 8-bit content in 7 bits, but for what
// must not be changed (RFC 6152 section 3).
func TestSevenBit(t *testing.T) {
	t.Parallel()
	const typ, eight = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "gr\xc3\xbcn\r\n"
	signed := "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" + typ + "\r\n" + eight + "--b--\r\n"
	for _, tt := range []struct {
		rule, content string
		extensions    []string
		want, sent    string
	}{
		{"converted", "MIME-Version: 1.0\r\n" + typ + "\r\n" + eight, nil, "ok mx1.y.test", "Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn\r\n"},
		{"as it is", "MIME-Version: 1.0\r\n" + typ + "\r\n" + eight, []string{"8BITMIME"}, "ok mx1.y.test", "8bit\r\n\r\n" + eight},
		{"signed", signed, nil, "5.6.3", ""},
	} {
		w := newWorld()
		s := w.sinks["192.0.2.1"]
		s.Extensions = tt.extensions
		j := job("y.test", "b")
		j.Content = strings.NewReader(tt.content)
		if got := outcomes(w.agent(t, nil).Deliver(t.Context(), j))[0]; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
		m := s.Messages()
		if tt.sent == "" && len(m) != 0 || tt.sent != "" && (len(m) != 1 || !strings.HasSuffix(m[0].Content, tt.sent)) {
			t.Errorf("%s: %+v", tt.rule, m)
		}
	}
}

func TestResultsPerRecipient(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.sinks["192.0.2.1"].Replies = map[string]string{
		"RCPT TO:<NO@Y.TEST>":    "550 5.1.1 No\r\n",
		"RCPT TO:<LATER@Y.TEST>": "450 4.2.0 Later\r\n",
	}
	results := w.agent(t, nil).Deliver(t.Context(), job("y.test", "b", "no", "later"))
	// Who was put off is offered to the next exchanger, nobody else is.
	if got := outcomes(results); !slices.Equal(got, []string{"ok mx1.y.test", "5.1.1", "ok mx2.y.test"}) {
		t.Errorf("%v", got)
	}
	if !results[0].TookDSN || results[1].TookDSN || results[2].TookDSN {
		t.Errorf("who promised to send notifications: %+v", results)
	}
	if m := w.sinks["192.0.2.2"].Messages(); len(m) != 1 || !slices.Equal(m[0].To, []string{"RCPT TO:<later@y.test>"}) {
		t.Errorf("second exchanger got %+v", m)
	}
}

// TestHostileHosts holds that a host's behaviour never loses mail, never ends
// it for good, and that the next host is asked where that cannot make two.
func TestHostileHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    string
		replies map[string]string
		want    string
	}{
		{"closes at once", map[string]string{"GREETING": ""}, "ok mx2.y.test"},
		{"554 at the greeting", map[string]string{"GREETING": "554 5.7.1 Go away\r\n"}, "ok mx2.y.test"},
		{"closes after EHLO", map[string]string{"EHLO": ""}, "ok mx2.y.test"},
		{"closes after MAIL", map[string]string{"MAIL": ""}, "ok mx2.y.test"},
		{"421 at RCPT", map[string]string{"RCPT": "421 4.3.2 Bye\r\nCLOSE"}, "ok mx2.y.test"},
		{"a 10 MB line", map[string]string{"EHLO": "250-" + strings.Repeat("x", 10<<20) + "\r\n"}, "ok mx2.y.test"},
		{"closes before the last reply", map[string]string{".": ""}, "4.4.2"},
		{"421 as the last reply", map[string]string{".": "421 4.3.2 Bye\r\nCLOSE"}, "4.3.2"},
		{"550 as the last reply", map[string]string{".": "550 5.7.1 Spam\r\n"}, "5.7.1"},
		{"STARTTLS that fails", map[string]string{"STARTTLS": "220 go\r\nCLOSE", "EHLO": "250-x\r\n250 STARTTLS\r\n"}, "ok mx1.y.test"},
		{"STARTTLS refused", map[string]string{"STARTTLS": "454 4.7.0 no\r\n", "EHLO": "250-x\r\n250 STARTTLS\r\n"}, "ok mx1.y.test"},
		{"plaintext behind STARTTLS", map[string]string{"STARTTLS": "220 go\r\n250 injected\r\n", "EHLO": "250-x\r\n250 STARTTLS\r\n"}, "ok mx1.y.test"},
	} {
		w := newWorld()
		w.sinks["192.0.2.1"].Replies = tt.replies
		if got := outcomes(w.agent(t, nil).Deliver(t.Context(), job("y.test", "b"))); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %v, want %s", tt.rule, got, tt.want)
		}
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.agent(t, func(c *remote.Config) { c.Idle = 2 * time.Second })
		for range 3 {
			if r := a.Deliver(t.Context(), job("y.test", "b")); r[0].Err != nil {
				t.Fatal(r[0].Err)
			}
		}
		if n := w.sinks["192.0.2.1"].Sessions(); n != 1 {
			t.Errorf("%d connections for three messages", n)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if r := a.Deliver(t.Context(), job("y.test", "b")); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
		if n := w.sinks["192.0.2.1"].Sessions(); n != 2 {
			t.Errorf("%d connections after a pause, want 2", n)
		}
		a.Close()
	})
}

func TestAConnectionThatDiedIdleCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.sinks["192.0.2.1"]
	s.Replies = map[string]string{".": "250 2.0.0 Ok\r\nCLOSE"}
	a := w.agent(t, func(c *remote.Config) { c.Idle = time.Hour })
	for i := range 3 {
		if r := a.Deliver(t.Context(), job("y.test", "b")); r[0].Err != nil || r[0].RemoteMTA != "mx1.y.test" {
			t.Errorf("message %d: %+v", i, r[0])
		}
	}
}

func TestRelayHostAndLogin(t *testing.T) {
	t.Parallel()
	w := newWorld()
	relay := func(c *remote.Config) {
		c.Relay = func(d queue.Destination, from mail.ReversePath) queue.Destination {
			if from.Address.Domain == "x.test" {
				return queue.Destination{Transport: "smtp", Host: "mx2.y.test", Port: 587, NoMX: true}
			}
			return d
		}
	}
	if got := outcomes(w.agent(t, relay).Deliver(t.Context(), job("y.test", "b"))); !slices.Equal(got, []string{"ok mx2.y.test"}) {
		t.Errorf("%v", got)
	}
	if !slices.Contains(w.dialed, "[192.0.2.2]:587") {
		t.Errorf("dialed %v", w.dialed)
	}
	// A password never travels without TLS.
	login := func(c *remote.Config) {
		relay(c)
		c.Login = func(mail.NextHop, mail.ReversePath) (remote.Login, bool) {
			return remote.Login{Name: "u", Password: "p"}, true
		}
	}
	if got := outcomes(w.agent(t, login).Deliver(t.Context(), job("y.test", "b"))); !slices.Equal(got, []string{"4.7.5"}) {
		t.Errorf("%v", got)
	}
	for _, c := range w.sinks["192.0.2.2"].Commands() {
		if strings.HasPrefix(c, "AUTH") {
			t.Errorf("said %q", c)
		}
	}
}

func TestLMTP(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.sinks["192.0.2.2"].LMTP = true
	j := job("mx2.y.test", "b", "c")
	j.Destination.Transport = "lmtp"
	if got := outcomes(w.agent(t, nil).Deliver(t.Context(), j)); !slices.Equal(got, []string{"ok mx2.y.test", "ok mx2.y.test"}) {
		t.Errorf("%v", got)
	}
	if !slices.Contains(w.dialed, "[192.0.2.2]:24") {
		t.Errorf("dialed %v", w.dialed)
	}
}

func TestContextEndsADelivery(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newWorld().agent(t, nil).Deliver(ctx, job("y.test", "b"))
	if len(r) != 1 || r[0].Err == nil || !mail.StatusOf(r[0].Err).Temporary() {
		t.Errorf("%+v", r)
	}
}
