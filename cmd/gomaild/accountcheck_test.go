package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAccountCheck finds what is broken, mends it, and finds nothing any more.
func TestAccountCheck(t *testing.T) {
	t.Parallel()
	cfg := write(t, "gomaild.toml", "accounts.path = \"accounts.sqlite\"\nstorage.root = \"mail\"\n")
	root := filepath.Join(filepath.Dir(cfg), "mail")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"alice", "bob"} {
		if code, _, stderr := gomaild(t, "pw-12345\n", "account", "add", "-c", cfg, "--create-domain", who+"@example.test"); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	home := filepath.Join(root, "example.test", "alice@example.test")
	for _, dir := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"cur/1.x,S=5,W=6:2,S": "Subject: a longer one\n\n", "dovecot-uidlist": "garbage\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		rule           string
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		{"nobody", []string{"check", "carol@example.test"}, exitFault, "", "there is no mailbox carol@example.test"},
		{"no mail yet", []string{"check", "bob@example.test"}, exitOK, "", ""},
		{"all", []string{"check"}, exitFault, "alice@example.test: found: ", "there are faults"},
		{"whom to repair", []string{"repair"}, exitUsage, "", ""},
		{"repair", []string{"repair", "Alice@example.test"}, exitOK, "alice@example.test: repaired: ", ""},
		{"sound", []string{"check"}, exitOK, "", ""},
	} {
		args := append([]string{"account", tt.args[0], "-c", cfg}, tt.args[1:]...)
		code, stdout, stderr := gomaild(t, "", args...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || tt.stdout == "" && stdout != "" || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit %d, want %d\nstdout: %s\nstderr: %s", tt.rule, code, tt.code, stdout, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "example.test", "bob@example.test")); err == nil {
		t.Error("check made a directory")
	}
}
