package daemon

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/config"
	"gomaild/internal/peertest"
)

// pythonMilter is a filter on Sendmail's own library.
const pythonMilter = `
import sys, Milter
class M(Milter.Base):
    def hello(self, name):
        if "bad" in name:
            self.setreply("554", "5.7.0", "not by that name")
            return Milter.REJECT
        return Milter.CONTINUE
    def envfrom(self, f, *s):
        return Milter.REJECT if "bad" in f else Milter.CONTINUE
    def envrcpt(self, to, *s):
        return Milter.TEMPFAIL if "bob" in to else Milter.CONTINUE
    def eom(self):
        self.addheader("X-Seen", self.getsymval("{mail_addr}") or "nobody")
        self.delrcpt("<alice@example.test>")
        self.addrcpt("<bob@example.test>")
        self.chgfrom("<changed@example.org>")
        return Milter.ACCEPT
Milter.factory = M
Milter.set_flags(Milter.ADDHDRS + Milter.ADDRCPT + Milter.DELRCPT + Milter.CHGFROM)
Milter.runmilter("m", sys.argv[1], 5)
`

// TestPythonMilter: a filter on another implementation refuses a HELO, a sender and
// a recipient in session, changes recipients and reverse-path, and hears of all
// messages of a session over one connection.
func TestPythonMilter(t *testing.T) {
	t.Parallel()
	python := peertest.Need(t, "/usr/bin/python3", "python3")
	w := newWorld(t)
	socket := w.path("pymilter")
	cmd := exec.CommandContext(t.Context(), python, "-c", pythonMilter, "unix:"+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		<-tick.C
	}
	d, err := New(w.config(t, "milter.mx = [\"unix:"+socket+"\"]\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	send := func(from, to string) error {
		c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
		return c.SendMail(from, []string{to}, strings.NewReader(content("filtered")))
	}
	if err := send("bad@example.org", "alice@example.test"); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("a bad sender: %v", err)
	}
	if err := send("good@example.org", "bob@example.test"); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("a recipient put off: %v", err)
	}
	if err := send("good@example.org", "alice@example.test"); err != nil {
		t.Fatal(err)
	}
	c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	if err := c.Hello("bad.example.org"); err == nil || !strings.Contains(err.Error(), "not by that name") {
		t.Errorf("a bad name: %v", err)
	}
	c = gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
	for _, subject := range []string{"one", "two", "three"} {
		if err := c.SendMail("good@example.org", []string{"alice@example.test"}, strings.NewReader(content(subject))); err != nil {
			t.Fatal(err)
		}
		w.awaitFile(t, "bob", "", "Subject: "+subject)
	}
	got := w.awaitFile(t, "bob", "", "Subject: filtered")
	if !strings.HasPrefix(got, "Return-Path: <changed@example.org>") || !strings.Contains(got, "X-Seen: good@example.org") {
		t.Errorf("bob has\n%s", got)
	}
}
