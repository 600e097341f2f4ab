package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/accounts/postfixadmin"
	"gomaild/auth/scheme"
	"gomaild/mail"
)

// stored is the stored password of a mailbox.
func stored(t *testing.T, db, address string) string {
	t.Helper()
	d, err := postfixadmin.Open(t.Context(), postfixadmin.Config{Driver: postfixadmin.SQLite, Path: db})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a, err := mail.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	_, hashes, err := d.Passwords(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return hashes[0]
}

func verifies(t *testing.T, hash, password string) bool {
	t.Helper()
	s, err := scheme.Parse(hash, "")
	if err != nil {
		t.Fatal(err)
	}
	ok, err := s.Verify("", password, scheme.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestAccount goes through the life of a mailbox, one command after another.
func TestAccount(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "sub", "accounts.sqlite")
	for _, tt := range []struct {
		rule, stdin    string
		args           []string // with "--db" added
		code           int
		stdout, stderr string // stdout whole, stderr a part
	}{
		{"no database yet", "", []string{"list"}, exitFault, "", "there is no database " + db},
		{"no domain", "pw\n", []string{"add", "alice@example.test"}, exitFault, "", "add --create-domain"},
		{"a malformed address", "pw\n", []string{"add", "alice"}, exitFault, "", "malformed address"},
		{"an empty password", "\n", []string{"add", "--create-domain", "alice@example.test"}, exitFault, "", "password"},
		{"no password", "", []string{"add", "--create-domain", "alice@example.test"}, exitFault, "", "read the password"},
		{"a quota that is none", "pw\n", []string{"add", "--create-domain", "--quota", "2", "alice@example.test"}, exitFault, "", "--quota: "},
		{"add", "Secret-12x\nmore\n", []string{"add", "--create-domain", "--password-stdin", "--name", "Alice A", "--quota", "2GB", "Alice@Example.test"}, exitOK, "", ""},
		{"add again", "pw\n", []string{"add", "alice@example.test"}, exitFault, "", "exists already"},
		{"the domain is there", "Secret-13x", []string{"add", "bob@example.test"}, exitOK, "", ""},
		{"list", "", []string{"list"}, exitOK, "alice@example.test\tAlice A\tquota 2GB\nbob@example.test\n", ""},
		{"list of a domain", "", []string{"list", "other.test"}, exitOK, "", ""},
		{"passwd", "Secret-14x\r\n", []string{"passwd", "bob@example.test"}, exitOK, "", ""},
		{"passwd of nobody", "pw\n", []string{"passwd", "carol@example.test"}, exitFault, "", "there is no mailbox carol@example.test"},
		{"del", "", []string{"del", "alice@example.test"}, exitOK, "", ""},
		{"del again", "", []string{"del", "alice@example.test"}, exitFault, "", "there is no mailbox alice@example.test"},
		{"list again", "", []string{"list", "example.test"}, exitOK, "bob@example.test\n", ""},
	} {
		args := append([]string{"account", "--db", db}, tt.args...)
		code, stdout, stderr := gomaild(t, tt.stdin, args...)
		if code != tt.code || stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit %d, want %d\nstdout: %s\nstderr: %s", tt.rule, code, tt.code, stdout, stderr)
		}
	}
	if hash := stored(t, db, "bob@example.test"); !verifies(t, hash, "Secret-14x") || strings.Contains(hash, "Secret") {
		t.Errorf("passwd stored %s", hash)
	}
	if info, err := os.Stat(db); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database has mode %v (%v), and it holds password hashes", info.Mode(), err)
	}
}

func TestAccountGenerate(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "accounts.sqlite")
	for _, args := range [][]string{{"add", "--create-domain"}, {"passwd"}} {
		code, stdout, stderr := gomaild(t, "", append([]string{"account", "--db", db, "--generate"}, append(args, "alice@example.test")...)...)
		if code != exitUsage {
			t.Errorf("--generate before the verb: exit %d, %s", code, stderr)
		}
		args = append([]string{"account", "--db", db}, append(args, "--generate", "alice@example.test")...)
		if code, stdout, stderr = gomaild(t, "", args...); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		address, password, _ := strings.Cut(strings.TrimSuffix(stdout, "\n"), "\t")
		if address != "alice@example.test" || !verifies(t, stored(t, db, address), password) {
			t.Errorf("%v printed %q", args, stdout)
		}
	}
}

func TestAccountInConfiguration(t *testing.T) {
	t.Parallel()
	cfg := write(t, "gomaild.toml", "accounts.path = \"accounts.sqlite\"\n")
	if code, _, stderr := gomaild(t, "pw-12345\n", "account", "add", "-c", cfg, "--create-domain", "alice@example.test"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if !verifies(t, stored(t, filepath.Join(filepath.Dir(cfg), "accounts.sqlite"), "alice@example.test"), "pw-12345") {
		t.Error("the mailbox is not in the database of the configuration")
	}
}
