package daemon

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/config"
	"gomaild/internal/dns/dnstest"
	"gomaild/policy"
)

// TestPolicy holds that the checks of the configuration reach the MX, that
// they ask the resolver of the configuration, and that a reload changes them.
func TestPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	resolver := dnstest.Serve(t, dnstest.Zone{Records: map[string][]string{
		"remote.test":         {`TXT "v=spf1 ip4:127.0.0.0/8 -all"`},
		"_dmarc.example.test": {`TXT "v=DMARC1; p=none"`},
	}})
	reload := func(checks string) error {
		return w.Reload(t.Context(), w.config(t, "dns.servers = [\""+resolver+"\"]\npolicy.checks = ["+checks+"]\n", listeners))
	}
	if err := reload(`"spf", "dkim", "dmarc"`); err != nil {
		t.Fatal(err)
	}
	send := func(subject string) error {
		conn, err := net.Dial("tcp", w.addr(t, config.MX, config.StartTLS))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return transmit(t, conn, false, subject)
	}
	if err := send("judged"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(w.path("mail/example.test/alice@example.test/new/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Authentication-Results: mail.example.test;", "dkim=none", "dmarc=fail", "header.from=example.test"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if err := reload(`"reject_everything"`); err == nil || !strings.Contains(err.Error(), "policy.checks") {
		t.Errorf("an unknown check: %v", err)
	}
	if err := reload(`"reject_unknown_reverse_client_hostname"`); err != nil {
		t.Fatal(err)
	}
	if err := send("refused"); err == nil || !strings.Contains(err.Error(), "reverse hostname") {
		t.Errorf("a client without a name: %v", err)
	}
}

// TestRates holds that the limits of the configuration reach MX and submission,
// and that a reload forgets nothing.
func TestRates(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	reload := func(head string) {
		t.Helper()
		if err := w.Reload(t.Context(), w.config(t, head, listeners)); err != nil {
			t.Fatal(err)
		}
	}
	send := func() error {
		return transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "counted")
	}
	reload("policy.rates.sender_messages = [\"1/1h\"]\nsubmission.messages = [\"1/1h\"]\n")
	if err := errors.Join(send(), w.submit(t, "counted")); err != nil {
		t.Fatal(err)
	}
	reload("policy.rates.sender_messages = [\"1/1h\"]\nsubmission.messages = [\"1/1h\"]\nlimits.hops = 60\n")
	for who, err := range map[string]error{"stranger": send(), "user": w.submit(t, "counted")} {
		if err == nil || !strings.Contains(err.Error(), "Rate limit exceeded: come again in ") {
			t.Errorf("a %s above the limit: %v", who, err)
		}
	}
	reload("policy.rates.client_connections = [\"1/1h\"]\n")
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if err := send(); err == nil || !strings.Contains(err.Error(), "Rate limit exceeded") {
		t.Errorf("a second connection: %v", err)
	}
}

// TestPolicyService holds that the policy servers of the configuration are asked.
func TestPolicyService(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "policy"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for line := ""; line != "\n" && err == nil; {
			line, err = in.ReadString('\n')
		}
		_, _ = conn.Write([]byte("action=REJECT says the service\n\n"))
	}()
	w := newWorld(t).start(t)
	head := "policy.checks = [\"check_policy_service\"]\npolicy.services = [\"unix:" + l.Addr().String() + "\"]\n"
	if err := w.Reload(t.Context(), w.config(t, head, listeners)); err != nil {
		t.Fatal(err)
	}
	err = transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "asked about")
	if err == nil || !strings.Contains(err.Error(), "says the service") {
		t.Errorf("%v", err)
	}
}

// TestPolicyIsDocumented holds that docs/config.md names every check.
func TestPolicyIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range policy.Names() {
		if !strings.Contains(string(text), name) {
			t.Errorf("docs/config.md does not name %s", name)
		}
	}
}
