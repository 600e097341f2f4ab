package daemon

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/internal/config"
	"gomaild/internal/peertest"
)

// TestRealRspamd: the rspamd of the machine, asked over HTTP and as a milter,
// refuses its test pattern for spam, wants the one for junk marked, and has nothing
// against a plain message.
func TestRealRspamd(t *testing.T) {
	t.Parallel()
	asHTTP, asMilter := startRspamd(t)
	for way, head := range map[string]string{"http": "milter.rspamd = [\"" + asHTTP + "\"]\n", "milter": "milter.mx = [\"" + asMilter + "\"]\n"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			d, err := New(w.config(t, head, listeners), Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.Daemon = d
			w.start(t)
			pattern := func(first string) string {
				return first + "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
			}
			send := func(subject, line string) error {
				return transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, subject+"\r\nX-Test: yes\r\n\r\n"+line)
			}
			if err := send("plain", "hello"); err != nil {
				t.Fatal(err)
			}
			w.awaitFile(t, "alice", "", "Subject: plain")
			if err := send("spam", pattern("X")); err == nil || !strings.Contains(err.Error(), "55") {
				t.Errorf("spam: %v", err)
			}
			if err := send("junk", pattern("Y")); err != nil {
				t.Fatal(err)
			}
			folder := map[string]string{"http": ".Junk", "milter": ""}[way]
			if got := w.awaitFile(t, "alice", folder, "Subject: junk"); way == "milter" && !strings.Contains(got, "X-Spam: Yes") {
				t.Errorf("no mark in\n%s", got)
			}
		})
	}
}

// startRspamd runs rspamd until the end of the test; it answers HTTP and as a
// milter.
func startRspamd(t *testing.T) (asHTTP, asMilter string) {
	t.Helper()
	program := peertest.Need(t, "rspamd", "rspamd")
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: rspamd of one's own needs root")
	}
	dir := t.TempDir()
	asHTTP, asMilter = fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t))
	conf := fmt.Sprintf(`options { pidfile = "%[1]s/pid"; filters = ""; url_tld = "%[1]s/tld"; disable_hyperscan = true; enable_test_patterns = true;
 dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 0; } tempdir = "%[1]s"; hs_cache_dir = "%[1]s"; control_socket = "%[1]s/ctl mode=0600"; }
logging { type = "file"; filename = "%[1]s/log"; }
worker "normal" { bind_socket = "%[2]s"; count = 1; }
worker "rspamd_proxy" { bind_socket = "%[3]s"; milter = yes; count = 1; upstream "local" { default = yes; self_scan = yes; } }
actions { reject = 15; add_header = 6; greylist = 4; }
`, dir, asHTTP, asMilter)
	for name, text := range map[string]string{"conf": conf, "tld": "com\ntest\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-f", "--insecure", "-c", dir+"/conf")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it ends its workers
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("log of rspamd:\n%.5000s", log)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range []string{asHTTP, asMilter} {
		for i := 0; ; i++ {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
				break
			}
			if i == 1500 {
				t.Fatal("rspamd does not listen")
			}
			<-tick.C
		}
	}
	return asHTTP, asMilter
}
