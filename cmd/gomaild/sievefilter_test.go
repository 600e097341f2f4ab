package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSieveFilter runs a script over mail on the disk: first to see, then to do.
func TestSieveFilter(t *testing.T) {
	t.Parallel()
	cfg := write(t, "gomaild.toml", "accounts.path = \"accounts.sqlite\"\nstorage.root = \"mail\"\n")
	root := filepath.Join(filepath.Dir(cfg), "mail")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := gomaild(t, "pw-12345\n", "account", "add", "-c", cfg, "--create-domain", "bob@example.test"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	home := filepath.Join(root, "example.test", "bob@example.test")
	for _, dir := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "cur/1.x:2,S"), []byte("Subject: list\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := write(t, "a.sieve", "require \"fileinto\";\nif header \"subject\" \"list\" { fileinto \"Lists\"; }\n")
	broken := write(t, "b.sieve", "nonsense;\n")
	lists := filepath.Join(home, ".Lists", "cur")
	for _, tt := range []struct {
		rule           string
		args           []string
		code           int
		stdout, stderr string // parts
		moved          bool
	}{
		{"nobody", []string{"carol@example.test", script}, exitFault, "", "there is no mailbox carol@example.test", false},
		{"a script that is none", []string{"bob@example.test", broken}, exitFault, "", "unknown command 'nonsense'", false},
		{"to see", []string{"bob@example.test", script}, exitOK, "1: store into \"Lists\" -- ", "", false},
		{"to do", []string{"bob@example.test", script, "--apply"}, exitOK, "1: store into \"Lists\" -- ", "", true},
		{"again", []string{"bob@example.test", script, "--apply"}, exitOK, "", "", true},
	} {
		code, stdout, stderr := gomaild(t, "", append([]string{"sieve", "filter", "-c", cfg}, tt.args...)...)
		if code != tt.code || !strings.Contains(stdout, tt.stdout) || tt.stdout == "" && stdout != "" || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit %d, want %d\nstdout: %s\nstderr: %s", tt.rule, code, tt.code, stdout, stderr)
		}
		files, _ := filepath.Glob(lists + "/*")
		if moved := len(files) == 1; moved != tt.moved {
			t.Errorf("%s: moved is %v", tt.rule, moved)
		}
	}
}
