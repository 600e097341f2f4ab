package e2e

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/internal/dns/dnstest"
	"gomaild/internal/peertest"
	"gomaild/policy/dkim"
)

// restricted is a world with one more MX, which believes XCLIENT, so that a
// client can come from any address. head is lines of the configuration.
func restricted(t *testing.T, head string, zone dnstest.Zone) (w *world, port int) {
	t.Helper()
	port = peertest.FreePort(t)
	w = newWorld(t, fmt.Sprintf("dns.servers = [%q]\n%s[[listener]]\ntype = \"mx\"\naddress = \"%s:%d\"\ntls = \"none\"\nmax_per_client = 0\nxclient_networks = [\"127.0.0.0/8\"]\n",
		dnstest.Serve(t, zone), head, host, port))
	w.addAccount(t, "alice@intern")
	w.start(t)
	return w, port
}

// restrictionsZone has good.test, whose mail passes everything.
func restrictionsZone(record string) dnstest.Zone {
	return dnstest.Zone{
		Records: map[string][]string{
			"7.2.0.192.in-addr.arpa":  {"PTR mail.good.test."},
			"8.2.0.192.in-addr.arpa":  {"PTR liar.good.test."},
			"9.2.0.192.in-addr.arpa":  {"PTR mail.good.test."},
			"10.2.0.192.in-addr.arpa": {"PTR mail.good.test."},
			"11.2.0.192.in-addr.arpa": {"PTR mail.good.test."},
			"12.2.0.192.in-addr.arpa": {"PTR mail.good.test."},
			"mail.good.test":          {"A 192.0.2.7", "A 192.0.2.9", "A 192.0.2.10", "A 192.0.2.11", "A 192.0.2.12"},
			"liar.good.test":          {"A 192.0.2.99"},
			"good.test":               {"MX 10 mail.good.test.", `TXT "v=spf1 ip4:192.0.2.0/24 -all"`},
			"_dmarc.good.test":        {`TXT "v=DMARC1; p=reject"`},
			"s1._domainkey.good.test": {fmt.Sprintf("TXT %q %q", record[:200], record[200:])},
			"strict.test":             {"MX 10 mail.good.test.", `TXT "v=spf1 -all"`},
			"maybe.test":              {"MX 10 mail.good.test."},
			"_dmarc.maybe.test":       {`TXT "v=DMARC1; p=quarantine"`},
			"nullmx.test":             {"MX 0 ."},
			"unsure.test":             {"MX 10 mail.good.test.", `TXT "v=spf1 include:down.test -all"`},
			"_dmarc.unsure.test":      {`TXT "v=DMARC1; p=reject"`},
			"9.2.0.192.bl.test":       {"A 127.0.0.2"},
			"10.2.0.192.bl.test":      {"A 127.0.0.2"},
			"10.2.0.192.wl.test":      {"A 127.0.0.2"},
			"11.2.0.192.light.test":   {"A 127.0.0.2"},
			"12.2.0.192.light.test":   {"A 127.0.0.2"},
			"12.2.0.192.second.test":  {"A 127.0.0.2"},
		},
		Fail: []string{"down.test", "13.2.0.192.in-addr.arpa"},
	}
}

// swaksRow is a message as swaks sends it. Empty fields are those of a good one.
type swaksRow struct{ client, helo, from, to, data string }

func (r swaksRow) args(t *testing.T, port int) []string {
	t.Helper()
	or := func(s, good string) string {
		if s == "" {
			return good
		}
		return s
	}
	data := filepath.Join(t.TempDir(), "message")
	writeFile(t, data, or(r.data, "From: a@good.test\nTo: alice@example.test\nSubject: good\n\nHello.\n"))
	helo := or(r.helo, "mail.good.test")
	return []string{
		"--server", host, "--port", fmt.Sprint(port), "--timeout", "20", "--helo", helo, "--xclient", "ADDR=" + or(r.client, "192.0.2.7"), "--xclient-no-verify",
		"--from", or(r.from, "a@good.test"), "--to", or(r.to, "alice@example.test"), "--data", "@" + data,
	}
}

// TestRestrictions: swaks meets every check of the configuration once with the
// fault that it is about, and hears code, enhanced code and text; the good message,
// and what is like the fault and none, are taken. One world has all checks.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	swaks := peertest.Need(t, "swaks", "swaks")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	const text = "From: a@good.test\r\nTo: alice@example.test\r\nSubject: signed\r\n\r\nHello.\r\n"
	field, err := (&dkim.Signer{Domain: "good.test", Selector: "s1", Key: key}).Sign(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	signed := strings.ReplaceAll(string(field)+text, "\r\n", "\n")
	w, port := restricted(t, `policy.checks = ["reject_unknown_reverse_client_hostname", "reject_unknown_client_hostname", "reject_rbl_client",
 "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname", "reject_non_fqdn_sender",
 "reject_unknown_sender_domain", "spf", "reject_spf_fail", "reject_non_fqdn_recipient", "dkim", "arc", "dmarc", "reject_dmarc"]
policy.junk_folder = "Junk"
policy.dnsbl_threshold = 2
policy.dnsbl = [{domain = "bl.test", weight = 2}, {domain = "light.test"}, {domain = "second.test"}, {domain = "wl.test", weight = -1}]
`, restrictionsZone(record))
	rows := []struct {
		rule string
		swaksRow
		want string // reply, or a field of the message that was stored
	}{
		{"a good message", swaksRow{}, "250 2.0.0"},
		{"reject_unknown_reverse_client_hostname", swaksRow{client: "198.51.100.1"}, "450 4.7.25 Client host rejected: cannot find your reverse hostname"},
		{"the same when the DNS is down", swaksRow{client: "192.0.2.13"}, "450 4.7.25 Client host rejected: cannot find your reverse hostname"},
		{"reject_unknown_client_hostname", swaksRow{client: "192.0.2.8"}, "450 4.7.25 Client host rejected: cannot find your hostname"},
		{"reject_rbl_client", swaksRow{client: "192.0.2.9"}, "554 5.7.1 Service unavailable; client [192.0.2.9] blocked using bl.test"},
		{"a list of the good outweighs", swaksRow{client: "192.0.2.10"}, "250 2.0.0"},
		{"a weight below the threshold", swaksRow{client: "192.0.2.11"}, "250 2.0.0"},
		{"two such weights", swaksRow{client: "192.0.2.12"}, "554 5.7.1 Service unavailable; client [192.0.2.12] blocked using second.test"},
		{"reject_invalid_helo_hostname", swaksRow{helo: "mail..good.test"}, "501 5.5.2 Helo command rejected: Invalid name"},
		{"reject_non_fqdn_helo_hostname", swaksRow{helo: "mail"}, "504 5.5.2 Helo command rejected: need fully-qualified hostname"},
		{"an address literal is no name", swaksRow{helo: "[192.0.2.7]"}, "250 2.0.0"},
		{"reject_unknown_helo_hostname", swaksRow{helo: "nowhere.good.test"}, "450 4.7.1 Helo command rejected: Host not found"},
		{"reject_non_fqdn_sender", swaksRow{from: "a@mail"}, "504 5.5.2 Sender address rejected: need fully-qualified address"},
		{"the null reverse-path", swaksRow{from: "<>", data: signed}, "250 2.0.0"},
		{"reject_unknown_sender_domain", swaksRow{from: "a@unknown.test"}, "550 5.1.8 Sender address rejected: Domain not found"},
		{"the same, which takes no mail", swaksRow{from: "a@nullmx.test"}, "550 5.7.27 Sender address rejected: Domain does not accept mail (nullMX)"},
		{"the same when the DNS is down", swaksRow{from: "a@down.test"}, "450 4.1.8 Sender address rejected: Domain cannot be looked up now"},
		{"reject_spf_fail", swaksRow{from: "a@strict.test"}, "550 5.7.23 SPF validation failed"},
		{"SPF that cannot be looked up refuses nothing", swaksRow{from: "a@unsure.test", data: "From: a@unsure.test\n\nx\n"}, "spf=temperror"},
		{"reject_non_fqdn_recipient", swaksRow{to: "alice@intern"}, "504 5.5.2 <alice@intern>: Recipient address rejected: need fully-qualified address"},
		{"a recipient elsewhere", swaksRow{to: "x@good.test"}, "554 5.7.1"},
		{"a recipient that is none", swaksRow{to: "x@example.test"}, "550 5.1.1"},
		{"dkim", swaksRow{data: signed}, "dkim=pass"},
		{"dkim, changed on its way", swaksRow{data: strings.Replace(signed, "Hello.", "Holla.", 1)}, "dkim=fail"},
		{"arc", swaksRow{data: "ARC-Seal: i=1; cv=none; a=rsa-sha256; d=good.test; s=s1; b=AAAA\nFrom: a@good.test\nSubject: chain\n\nx\n"}, "arc=fail"},
		{"reject_dmarc", swaksRow{from: "a@maybe.test"}, "550 5.7.1 Email rejected per DMARC policy of the From domain"},
		{"the same, but signed", swaksRow{from: "a@maybe.test", data: signed}, "dmarc=pass"},
		{"reject_dmarc and two authors", swaksRow{data: "From: a@good.test, b@maybe.test\n\nx\n"}, "550 5.7.1 Message needs one From field with one domain"},
		{"reject_dmarc and no author", swaksRow{data: "Subject: nobody\n\nx\n"}, "550 5.7.1 Message needs one From field with one domain"},
		{"junk", swaksRow{data: "From: a@maybe.test\nSubject: to the junk\n\nx\n"}, "250 2.0.0"},
	}
	replies := make([]string, len(rows))
	var running sync.WaitGroup
	turns := make(chan struct{}, 4)
	for i, r := range rows {
		data := fmt.Sprintf("X-Row: %d.\n%s", i, r.data)
		if r.data == "" {
			data += "From: a@good.test\nTo: alice@example.test\nSubject: good\n\nHello.\n"
		}
		r.data = data
		args := r.args(t, port)
		running.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			out, errOut, _ := peertest.Try(t, "", swaks, args...)
			replies[i] = out + errOut
		})
	}
	running.Wait()
	for i, r := range rows {
		want := r.want
		if strings.Contains(want, "=") {
			w.holds(t, "alice@example.test", fmt.Sprintf("X-Row: %d.", i), want)
			want = "250 2.0.0"
		}
		if !strings.Contains(replies[i], " "+want) {
			t.Errorf("%s: want %q in\n%s", r.rule, want, replies[i])
		}
	}
	junk, err := filepath.Glob(filepath.Join(w.maildir("alice@example.test"), ".Junk/new/*"))
	if err != nil || len(junk) != 1 {
		t.Fatalf("junk: %v, %v", junk, err)
	}
	if got, err := os.ReadFile(junk[0]); err != nil || !strings.Contains(string(got), "Subject: to the junk") {
		t.Errorf("%v\n%s", err, got)
	}
}

// talk sends lines, each with the replies before it heard, and returns the last
// reply. Lines joined by "|" go in one packet.
func talk(t *testing.T, addr string, lines ...string) (replies []string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	hear := func() bool {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return false
			}
			if len(line) > 3 && line[3] == ' ' {
				replies = append(replies, strings.TrimSpace(line))
				return true
			}
		}
	}
	if lines[0] != "" {
		hear()
	}
	for _, line := range lines {
		parts := strings.Split(line, "|")
		if line == "" { // talks before the banner
			parts = []string{"EHLO early.test"}
		}
		if _, err := fmt.Fprint(conn, strings.Join(parts, "\r\n")+"\r\n"); err != nil {
			return replies
		}
		for range parts {
			if !hear() {
				return replies
			}
		}
	}
	return replies
}

// TestRates: each limit lets its number through, and then puts off with 450 or
// 421 and says for how long.
func TestRates(t *testing.T) {
	t.Parallel()
	w, port := restricted(t, `policy.rates = {client_connections = ["3/1h"], network_connections = ["5/1h"], client_messages = ["3/1h"], network_messages = ["5/1h"],
 sender_messages = ["6/1h"], client_recipients = ["5/1h"], network_recipients = ["8/1h"], sender_recipients = ["11/1h"]}
submission.messages = ["2/1h"]
submission.recipients = ["4/1h"]
`, dnstest.Zone{})
	addr := w.addr(port)
	mails := func(client, from string, n int) (replies []string) {
		lines := []string{"EHLO c.test", "XCLIENT ADDR=" + client, "EHLO c.test"}
		for range n {
			lines = append(lines, "MAIL FROM:<"+from+">", "RSET")
		}
		return talk(t, addr, lines...)
	}
	recipients := func(client, from string, n int) []string {
		lines := []string{"EHLO c.test", "XCLIENT ADDR=" + client, "EHLO c.test", "MAIL FROM:<" + from + ">"}
		for range n {
			lines = append(lines, "RCPT TO:<alice@example.test>")
		}
		return talk(t, addr, lines...)
	}
	for _, tt := range []struct {
		limit string
		most  int
		run   func(i int) []string // of most+1
		code  string
	}{
		{"client_connections", 3, func(int) []string { return mails("192.0.2.1", "", 0) }, "421"},
		{"network_connections", 5, func(i int) []string { return mails(fmt.Sprintf("192.0.3.%d", i), "", 0) }, "421"},
	} {
		for i := range tt.most + 1 {
			wantRate(t, fmt.Sprintf("%s, %d", tt.limit, i+1), tt.run(i)[2:], i == tt.most, tt.code)
		}
	}
	// MAIL is each second reply after the fourth.
	got := mails("192.0.4.1", "", 4)
	wantRate(t, "client_messages, 3", got[4+2*2:4+2*2+1], false, "450")
	wantRate(t, "client_messages, 4", got[4+3*2:4+3*2+1], true, "450")
	mails("192.0.5.1", "", 3)
	got = mails("192.0.5.2", "", 3)
	wantRate(t, "network_messages, 5", got[4+1*2:4+1*2+1], false, "450")
	wantRate(t, "network_messages, 6", got[4+2*2:4+2*2+1], true, "450")
	mails("192.0.6.1", "s@a.test", 3)
	mails("192.0.7.1", "s@a.test", 3)
	wantRate(t, "sender_messages, 7", mails("192.0.8.1", "S@A.test", 1)[4:5], true, "450")
	wantRate(t, "another sender", mails("192.0.8.1", "other@a.test", 1)[4:5], false, "450")

	got = recipients("192.0.9.1", "", 6)
	wantRate(t, "client_recipients, 5", got[9:10], false, "450")
	wantRate(t, "client_recipients, 6", got[10:11], true, "450")
	got = recipients("192.0.9.2", "", 4)
	wantRate(t, "network_recipients, 8", got[7:8], false, "450")
	wantRate(t, "network_recipients, 9", got[8:9], true, "450")
	recipients("192.0.10.1", "r@a.test", 5)
	recipients("192.0.11.1", "r@a.test", 5)
	got = recipients("192.0.12.1", "r@a.test", 2)
	wantRate(t, "sender_recipients, 11", got[5:6], false, "450")
	wantRate(t, "sender_recipients, 12", got[6:7], true, "450")

	swaks := peertest.Need(t, "swaks", "swaks")
	submit := func(from string, to ...string) string {
		out, errOut, _ := peertest.Try(t, "", swaks, "--server", host, "--port", fmt.Sprint(w.msas), "--tls-on-connect", "--auth", "PLAIN", "--timeout", "20",
			"--auth-user", from, "--auth-password", password, "--from", from, "--to", strings.Join(to, ","))
		return out + errOut
	}
	a, b := "alice@example.test", "bob@example.test"
	for i, want := range []string{"250 2.0.0", "250 2.0.0", "450 4.7.1 Rate limit exceeded: come again in "} {
		if got := submit(a, b); !strings.Contains(got, want) {
			t.Errorf("submission.messages, %d: want %q in\n%s", i+1, want, got)
		}
	}
	if got := submit(b, a, a, a, a, a); strings.Count(got, "250 2.1.5") != 4 || !strings.Contains(got, "450 4.7.1 Rate limit exceeded: come again in ") {
		t.Errorf("submission.recipients:\n%s", got)
	}
}

// wantRate holds that the first of replies is one of a limit, or is none.
func wantRate(t *testing.T, what string, replies []string, over bool, code string) {
	t.Helper()
	is := len(replies) > 0 && strings.HasPrefix(replies[0], code+" 4.7.1 Rate limit exceeded: come again in ")
	if is != over || !over && (len(replies) == 0 || replies[0][0] != '2') {
		t.Errorf("%s: %q", what, replies)
	}
}

// TestManners: who talks before the banner, who pipelines without leave, who makes
// many errors, who says no HELO, and who comes for the first time.
func TestManners(t *testing.T) {
	t.Parallel()
	w, port := restricted(t, "policy.greet_delay = \"200ms\"\nlimits.errors = 4\npolicy.checks = [\"reject_unauth_pipelining\", \"greylist\"]\npolicy.greylist_delay = \"1s\"\n", dnstest.Zone{})
	addr := w.addr(port)
	const ahead = "554 5.5.0 Commands sent without waiting for the reply"
	for _, tt := range []struct {
		rule  string
		lines []string
		want  string // a reply
	}{
		{"pre-greet", []string{""}, ahead},
		{"patience", []string{"EHLO c.test"}, "250 CHUNKING"},
		{"no HELO", []string{"MAIL FROM:<>"}, "503 5.5.1 "},
		{"HELO without a name", []string{"EHLO"}, "501 5.5.4 "},
		{"pipelining after HELO", []string{"HELO c.test", "MAIL FROM:<>|NOOP"}, "503 5.5.0 Sender address rejected: Improper use of SMTP command pipelining"},
		{"pipelining after EHLO", []string{"EHLO c.test", "MAIL FROM:<>|RCPT TO:<x@example.test>"}, "550 5.1.1 "},
		{"EHLO and more in one packet", []string{"EHLO c.test|MAIL FROM:<>"}, ahead},
		{"errors", []string{"EHLO c.test", "X1", "X2", "X3", "X4", "X5"}, "421 4.7.0 mail.example.test Too many errors"},
	} {
		start := time.Now()
		got := talk(t, addr, tt.lines...)
		if !slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, tt.want) }) {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
		if took := time.Since(start); tt.rule == "errors" && took < time.Second {
			t.Errorf("the tarpit took %v", took)
		}
	}
	rcpt := func() string {
		got := talk(t, addr, "EHLO c.test", "XCLIENT ADDR=192.0.2.1", "EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>")
		return got[len(got)-1]
	}
	if got, want := rcpt(), "450 4.7.1 <alice@example.test>: Recipient address rejected: Greylisted, come again in 1 seconds"; got != want {
		t.Errorf("greylist: %q, want %q", got, want)
	}
	await(t, "who comes again", func() bool { return strings.HasPrefix(rcpt(), "250 2.1.5") })
}
