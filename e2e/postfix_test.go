package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/peertest"
)

// postfix is a real Postfix of the test's own: configuration, queue and port.
type postfix struct {
	dir  string
	port int
}

const postfixServices = `%[1]s:%[2]d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix runs a Postfix whose relay host is a port here. settings are lines
// of main.cf, services of master.cf.
func startPostfix(tb testing.TB, relayPort int, settings string, services ...string) *postfix {
	tb.Helper()
	program := peertest.Need(tb, "/usr/sbin/postfix", "postfix")
	if os.Getuid() != 0 {
		tb.Skip("SKIPPED: a Postfix of one's own needs root")
	}
	p := &postfix{dir: tb.TempDir(), port: peertest.FreePort(tb)}
	for dir := p.dir; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) { // its user must get there
		if err := os.Chmod(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	for _, sub := range []string{"etc", "queue", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(p.dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	const nobody = 65534
	if err := os.Chown(filepath.Join(p.dir, "mail"), nobody, nobody); err != nil {
		tb.Fatal(err)
	}
	peertest.Run(tb, "", "chown", "postfix", filepath.Join(p.dir, "data"))
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[2]s
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
relayhost = [127.0.0.1]:%[3]d
smtp_tls_security_level = may
virtual_mailbox_base = %[1]s/mail
virtual_uid_maps = static:%[4]d
virtual_gid_maps = static:%[4]d
smtpd_client_connection_rate_limit = 0
%[5]s
`, p.dir, os.TempDir(), relayPort, nobody, settings)
	writeFile(tb, filepath.Join(p.dir, "etc/main.cf"), main)
	writeFile(tb, filepath.Join(p.dir, "etc/master.cf"), fmt.Sprintf(postfixServices, host, p.port)+strings.Join(services, ""))
	for _, name := range []string{"etc/main.cf", "etc/master.cf"} {
		if err := os.Chmod(filepath.Join(p.dir, name), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	run := func(verb string) (string, error) {
		out, errs, err := peertest.Try(tb, "", program, "-c", filepath.Join(p.dir, "etc"), verb)
		return out + errs, err
	}
	tb.Cleanup(func() {
		// The context of the test has ended by now, and with it what peertest runs.
		if text, err := exec.Command(program, "-c", filepath.Join(p.dir, "etc"), "stop").CombinedOutput(); err != nil {
			tb.Errorf("postfix stop: %v\n%s", err, text)
		}
		if tb.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "maillog"))
			tb.Logf("log of Postfix:\n%.20000s", log)
		}
	})
	if text, err := run("start"); err != nil {
		tb.Fatalf("postfix start: %v\n%s", err, text)
	}
	return p
}

// send brings a message to Postfix.
func (p *postfix) send(tb testing.TB, from string, opts *gosmtp.RcptOptions, subject string, to ...string) {
	tb.Helper()
	var c *gosmtp.Client
	await(tb, "Postfix to listen", func() bool {
		var err error
		c, err = gosmtp.Dial(fmt.Sprintf("%s:%d", host, p.port))
		return err == nil
	})
	defer c.Close()
	transmitWith(tb, c, from, opts, subject, to...)
}

func transmitWith(tb testing.TB, c *gosmtp.Client, from string, opts *gosmtp.RcptOptions, subject string, to ...string) {
	tb.Helper()
	if err := c.Mail(from, nil); err != nil {
		tb.Fatal(err)
	}
	for _, a := range to {
		if err := c.Rcpt(a, opts); err != nil {
			tb.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\n.Hello.\r\n..\r\n", from, strings.Join(to, ", "), subject); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
}

// await waits until something is so.
func await(tb testing.TB, what string, isSo func() bool) {
	tb.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for !isSo() {
		select {
		case <-look.C:
		case <-limit:
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// holds is the message of an INBOX that has all the words.
func (w *world) holds(tb testing.TB, address string, words ...string) string {
	tb.Helper()
	var found string
	await(tb, fmt.Sprintf("a message of %s with %q", address, words), func() bool {
		for _, name := range w.stored(tb, address) {
			text, err := os.ReadFile(name)
			if err != nil {
				continue // it has moved on
			}
			found = string(text)
			all := true
			for _, word := range words {
				all = all && strings.Contains(found, word)
			}
			if all {
				return true
			}
		}
		return false
	})
	return found
}

// TestPostfixSends: a real Postfix brings mail to gomaild, over TLS; of a
// recipient that is refused it tells the sender, whose mailbox is here too.
func TestPostfixSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "remote.enabled = false\n")
	w.start(t)
	p := startPostfix(t, w.mx, "")
	p.send(t, "bob@example.test", nil, "by Postfix", "alice@example.test", "nobody@example.test")
	got := w.holds(t, "alice@example.test", "Subject: by Postfix")
	for _, want := range []string{"Return-Path: <bob@example.test>\n", "Delivered-To: alice@example.test\n", "with ESMTPS", "from postfix.test", "\n\n.Hello.\n..\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	w.holds(t, "bob@example.test", "Return-Path: <>", "Undelivered Mail", "nobody@example.test", "Status: 5.1.1")
}

// TestPostfixReceives: gomaild brings mail to a real Postfix, which tells of a
// success itself where that was asked for; who is refused there is told of here.
func TestPostfixReceives(t *testing.T) {
	t.Parallel()
	port := peertest.FreePort(t)
	w := newWorld(t, fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nrouting.transport_maps = [\"hash:transport\"]\n"+
		"[[listener]]\ntype = \"submission\"\naddress = \"%s:%d\"\ntls = \"none\"\ntrusted_networks = [\"127.0.0.0/8\"]\n", host, port))
	p := startPostfix(t, w.mx, "virtual_mailbox_domains = far.test\nvirtual_mailbox_maps = inline:{ {x@far.test=x/} }\n")
	writeFile(t, filepath.Join(w.dir, "transport"), fmt.Sprintf("far.test smtp:[%s]:%d\n", host, p.port))
	w.start(t)
	c, err := gosmtp.Dial(w.addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	transmitWith(t, c, "alice@example.test", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess, gosmtp.DSNNotifyFailure}}, "to Postfix", "x@far.test", "no@far.test")
	var got string
	await(t, "the message in Postfix's mailbox", func() bool {
		files, _ := filepath.Glob(filepath.Join(p.dir, "mail/x/new/*"))
		if len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		got = string(text)
		return err == nil
	})
	for _, want := range []string{"Return-Path: <alice@example.test>\n", "by mail.example.test with ESMTP", "Subject: to Postfix", "\n\n.Hello.\n..\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	w.holds(t, "alice@example.test", "Reporting-MTA: dns; postfix.test", "Action: delivered", "x@far.test")
	w.holds(t, "alice@example.test", "Reporting-MTA: dns; mail.example.test", "Final-Recipient: rfc822; no@far.test", "Action: failed", "Remote-MTA: dns; ")
}
