package daemon

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"gomaild/internal/config"
)

// TestScriptsNeedRoom holds that a mailbox without room takes no more octets of
// scripts, and that a session of ManageSieve leaves its limits in force.
func TestScriptsNeedRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sql(t, "UPDATE mailbox SET quota = 2000")
	d, err := New(w.config(t, "quota.enabled = true\n", listeners+`
[[listener]]
type = "managesieve"
address = "127.0.0.1:0"
trusted_networks = ["127.0.0.0/8"]
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	conn := dial(t, "tcp", w.addr(t, config.ManageSieve, config.StartTLS))
	in := bufio.NewReader(conn)
	ask := func(line string) string {
		t.Helper()
		if line != "" {
			fmt.Fprintf(conn, "%s\r\n", line)
		}
		for {
			answer, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(answer, "OK") || strings.HasPrefix(answer, "NO") {
				return strings.TrimSpace(answer)
			}
			if strings.HasPrefix(answer, `"EXTLISTS"`) && answer != "\"EXTLISTS\" \"urn\"\r\n" {
				t.Error(answer)
			}
		}
	}
	ask("")
	secret := base64.StdEncoding.EncodeToString([]byte("\x00alice@example.test\x00" + password))
	for _, step := range []struct{ line, want string }{
		{`AUTHENTICATE "PLAIN" "` + secret + `"`, "OK"},
		{`HAVESPACE "a" 1900`, "OK"},
		{`HAVESPACE "a" 2100`, "NO (QUOTA)"},
		{"PUTSCRIPT \"a\" {2100+}\r\n" + strings.Repeat("#", 2100), "NO (QUOTA)"},
	} {
		if got := ask(step.line); !strings.HasPrefix(got, step.want) {
			t.Errorf("%.40s: %q, want %s", step.line, got, step.want)
		}
	}
	var full error
	for i := 0; i < 20 && full == nil; i++ {
		full = transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, fmt.Sprint(i))
	}
	if full == nil || !strings.Contains(full.Error(), "Quota exceeded") {
		t.Fatalf("twenty messages into 2000 octets: %v", full)
	}
	if got := ask(`HAVESPACE "a" 1000`); !strings.HasPrefix(got, "NO (QUOTA)") {
		t.Errorf("in a full mailbox: %q", got)
	}
}
