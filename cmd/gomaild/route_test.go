package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/daemon"
)

// TestRoute asks for ways without a server and with one: the answers are the
// same.
func TestRoute(t *testing.T) {
	t.Parallel()
	dir, conf := goodWorld(t)
	if err := os.WriteFile(filepath.Join(dir, "transport"), []byte("# where mail goes\nhub.test\tsmtp:[192.0.2.1]:26\nspam.test error:5.7.1 no\ntrap.test discard:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	head := "remote.relay_host = \"[relay.test]:587\"\ndns.servers = [\"127.0.0.1:1\"]\nrouting.transport_maps = [\"hash:transport\"]\n" +
		"routing.sender_bcc_maps = [\"inline:{alice@example.test=boss@hub.test}\"]\n"
	path := save(t, dir, head+conf)
	routes := map[string][]string{}
	ask := func(to string) []string {
		code, text, stderr := gomaild(t, "", "route", "-c", path, "--from", "alice@example.test", to)
		if code != exitOK {
			t.Fatalf("%s: exit %d, %s", to, code, stderr)
		}
		code, js, _ := gomaild(t, "", "route", "-c", path, "--json", to)
		var r daemon.Route
		if err := json.Unmarshal([]byte(js), &r); err != nil || code != exitOK || r.Address != to {
			t.Errorf("%s: exit %d, %v: %s", to, code, err, js)
		}
		return strings.Split(text, "\n")
	}
	for to, want := range map[string][]string{
		"alice+x@example.test": {"RCPT by a stranger: 250", "alice@example.test in " + filepath.Join(dir, "mail") + "/example.test/alice@example.test, detail x", "copy to", "boss@hub.test: by smtp:[192.0.2.1]:26, TLS may", "host [192.0.2.1]:26"},
		"nobody@example.test":  {"RCPT by a stranger: 550 5.1.1", "nobody has this address"},
		"x@far.test":           {"RCPT by a stranger: 554 5.7.1", "RCPT by a user: 250", "by smtp:[relay.test]:587, TLS may", "could not be"},
		"x@spam.test":          {"RCPT by a user: 550 5.7.1 <x@spam.test>: Recipient address rejected: no", "refused: 550 5.7.1 no"},
		"x@trap.test":          {"taken and thrown away"},
	} {
		routes[to] = ask(to)
		text := strings.Join(routes[to], "\n")
		for _, w := range want {
			if !strings.Contains(text, w) && !(w == "could not be" && strings.Contains(text, "No address of host")) {
				t.Errorf("%s: no %q in\n%s", to, w, text)
			}
		}
	}
	if code, _, stderr := gomaild(t, "", "route", "-c", path, "no address"); code != exitUsage {
		t.Errorf("exit %d, %s", code, stderr)
	}

	s := serve(t, path)
	s.waitFor("msg=ready")
	for to, before := range routes {
		if now := ask(to); strings.Join(now, "\n") != strings.Join(before, "\n") {
			t.Errorf("the server says\n%s\nand without it it was\n%s", strings.Join(now, "\n"), strings.Join(before, "\n"))
		}
	}
	s.stop()
	if err := <-s.ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "transport"), []byte("hub.test smtp:[broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := gomaild(t, "", "check", "-c", path); code == exitOK || !strings.Contains(stdout+stderr, "routing.transport_maps") || !strings.Contains(stdout+stderr, "not a transport") {
		t.Errorf("check of a bad table: exit %d, %s%s", code, stdout, stderr)
	}
}
