package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestPOP3: Python's poplib reads and removes, and fetchmail fetches what is
// left, once, over TLS on the plain port.
func TestPOP3(t *testing.T) {
	t.Parallel()
	python := peertest.Need(t, "python3", "python3")
	fetchmail := peertest.Need(t, "fetchmail", "fetchmail")
	swaks := peertest.Need(t, "swaks", "swaks")
	w := newWorld(t, "")
	w.start(t)
	for i := range 3 {
		peertest.Run(t, "", swaks, "--server", host, "--port", fmt.Sprint(w.mx), "--helo", "client.test",
			"--from", "stranger@remote.invalid", "--to", "bob@example.test", "--body", fmt.Sprintf("message %d\n.begins with a dot\n", i))
	}
	out := peertest.Run(t, "", python, "testdata/pop3_session.py", host, fmt.Sprint(w.pop3), fmt.Sprint(w.pop3s), "bob@example.test", password, "3")
	if out != "ok\n" {
		t.Errorf("pop3_session.py: %s", out)
	}
	if got := len(w.stored(t, "bob@example.test")); got != 2 {
		t.Errorf("bob has %d messages, want 2", got)
	}

	mbox := filepath.Join(w.dir, "fetched")
	rc := filepath.Join(w.dir, "fetchmailrc")
	text := fmt.Sprintf(`set idfile %q
set pidfile %q
poll %s protocol pop3 port %d uidl
  user "bob@example.test" password %q
  mda "cat >>%s" keep sslproto "auto" sslcertfile %q no sslcertck
`, rc+".ids", rc+".pid", host, w.pop3, password, mbox, w.certificate())
	if err := os.WriteFile(rc, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing new, which fetchmail says with 1
		_, errOut, err := peertest.Try(t, "", fetchmail, "--nosyslog", "--fetchmailrc", rc)
		if err != nil && !strings.Contains(err.Error(), "exit status 1") {
			t.Fatalf("fetchmail: %v\n%s", err, errOut)
		}
	}
	fetched, err := os.ReadFile(mbox)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(fetched), "\n.begins with a dot\n"); got != 2 {
		t.Errorf("fetchmail fetched %d messages, want each of 2 once:\n%s", got, fetched)
	}
}
