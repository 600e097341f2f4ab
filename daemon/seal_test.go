package daemon

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/config"
	"gomaild/internal/dns/dnstest"
	"gomaild/internal/durable"
	"gomaild/internal/peertest"
	"gomaild/policy/dkim/keys"
)

// verifyChain asks dkimpy about a message on its input; keys are in its argument.
const verifyChain = `
import sys, json, dkim
keys = json.loads(sys.argv[1])
dns = lambda name, timeout=5: keys[name.decode().rstrip(".")].encode()
cv, results, reason = dkim.arc_verify(sys.stdin.buffer.read(), dnsfunc=dns)
print(cv.decode(), len(results), reason)
`

// TestSealed: what an alias and what a Sieve script send to another host is
// sealed, another implementation verifies it, and the server that gets it back
// believes it; what stays here is not sealed.
func TestSealed(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "arcverify", "python3-dkim")
	python := peertest.Need(t, "/usr/bin/python3", "python3")
	s, addr := newSink(t)
	w := newWorld(t)
	root, err := durable.OpenRoot(w.path("mail"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Generate(root, KeysDir, "seal.test", "sel", keys.RSA)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	record, err := key.Record()
	if err != nil {
		t.Fatal(err)
	}
	resolver := dnstest.Serve(t, dnstest.Zone{Records: map[string][]string{
		"origin.test":        {`TXT "v=spf1 ip4:127.0.0.1 -all"`},
		"_dmarc.origin.test": {`TXT "v=DMARC1; p=reject"`},
		key.RecordName():     {fmt.Sprintf("TXT %q %q", record[:200], record[200:])},
	}})
	host, port, _ := net.SplitHostPort(addr)
	head := fmt.Sprintf("remote.relay_host = \"[%s]:%s\"\nremote.srs_domain = \"srs.test\"\ndns.servers = [%q]\n", host, port, resolver) +
		"policy.checks = [\"spf\", \"arc\", \"reject_dmarc\"]\npolicy.arc_domain = \"seal.test\"\npolicy.arc_trusted = [\"seal.test\"]\n"
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)

	db, err := sql.Open("sqlite", "file:"+w.path("accounts.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "INSERT INTO alias (address, goto, domain) VALUES ('out@example.test', 'x@far.test,bob@example.test', 'example.test')"); err != nil {
		t.Fatal(err)
	}
	home := w.path("mail/example.test/alice@example.test")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".dovecot.sieve"), []byte(`redirect "y@far.test";`), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func(to, text string) error {
		c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
		return c.SendMail("s@origin.test", []string{to}, strings.NewReader(text))
	}
	text := "Authentication-Results: mail.example.test; arc=pass\r\nFrom: s@origin.test\r\nSubject: going on\r\n\r\nHello.\r\n"
	if err := send("out@example.test", text); err != nil {
		t.Fatal(err)
	}
	if err := send("alice@example.test", text); err != nil {
		t.Fatal(err)
	}
	if got := w.awaitFile(t, "bob", "", "Subject: going on"); strings.Contains(got, "ARC-") {
		t.Errorf("bob's copy is sealed:\n%s", got)
	}
	zone, err := json.Marshal(map[string]string{key.RecordName(): record})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range s.await(t, 2) {
		envelope, content, _ := strings.Cut(got, "\n")
		if !strings.HasPrefix(content, "ARC-Seal: i=1; a=rsa-sha256; cv=none;") {
			t.Errorf("%s: not sealed:\n%s", envelope, content)
			continue
		}
		if out := peertest.Run(t, content, python, "-c", verifyChain, string(zone)); !strings.HasPrefix(out, "pass 1 ") {
			t.Errorf("%s: dkimpy says %s", envelope, out)
		}
		_, results, _ := strings.Cut(content, "ARC-Authentication-Results: i=1; mail.example.test;")
		results, _, _ = strings.Cut(results, "\r\nAuthentication-Results:")
		for _, want := range []string{"spf=pass", "arc=none", "dmarc=pass"} {
			if !strings.Contains(results, want) {
				t.Errorf("%s: no %s in %q", envelope, want, results)
			}
		}
		if strings.Count(content, "\nAuthentication-Results: mail.example.test") != 1 {
			t.Errorf("%s: a forged field is there:\n%s", envelope, content)
		}
		if strings.Contains(envelope, "> x@") {
			believed(t, w, content)
		}
	}
}

// believed sends a sealed message back from an address that its author's domain
// does not know: it is taken on the word of the seal, and with other text not.
func believed(t *testing.T, w *world, content string) {
	t.Helper()
	send := func(text string) error {
		c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
		return c.SendMail("list@elsewhere.test", []string{"bob@example.test"}, strings.NewReader(text))
	}
	if err := send(strings.Replace(content, "Hello.", "Hallo.", 1)); err == nil || !strings.Contains(err.Error(), "DMARC") {
		t.Errorf("changed on the way: %v", err)
	}
	if err := send("X-Came: back\r\n" + content); err != nil {
		t.Errorf("a trusted seal: %v", err)
		return
	}
	w.awaitFile(t, "bob", "", "dmarc=fail reason=\"passed at seal.test, which is trusted (ARC)\"")
}
