package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gomaild/internal/certs"
	"gomaild/internal/durable"
)

// goodWorld is a directory in which everything is as it should be, and the
// text of its configuration, which listens on port 0.
func goodWorld(t *testing.T) (dir, text string) {
	t.Helper()
	dir = t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := certs.SelfSigned(root, "mail.example.test", "localhost", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := root.Mkdir("mail", 0o700); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "accounts.sqlite")
	if code, _, stderr := gomaild(t, "Secret-12x\n", "account", "add", "--db", db, "--create-domain", "alice@example.test"); code != exitOK {
		t.Fatal(stderr)
	}
	return dir, `hostname = "mail.example.test"
run_dir = "run"
storage.root = "mail"
accounts.path = "accounts.sqlite"
routing.postmaster = "alice@example.test"
[[tls.certificate]]
cert = "cert.pem"
key = "key.pem"
[[listener]]
type = "mx"
address = "127.0.0.1:0"
[[listener]]
type = "lda"
`
}

// save writes a configuration.
func save(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "gomaild.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckGood(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, text)
	before := listing(t, dir)
	code, stdout, stderr := gomaild(t, "", "check", "-c", path)
	if code != exitOK || stdout != path+": good\n" || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("check changed the directory:\n%s\nwas\n%s", after, before)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		fmt.Fprintln(&b, p, info.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCheckFaults breaks one thing after another and holds the whole line that
// check prints for it.
func TestCheckFaults(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, tt := range []struct {
		rule     string
		from, to string // replaced in the good configuration
		spoil    func(t *testing.T, dir string)
		want     string // DIR stands for the directory
	}{
		{"no mail root", `"mail"`, `"nowhere"`, nil,
			"3: storage.root: stat DIR/nowhere: no such file or directory; name a directory that exists and that gomaild may write"},
		{"the mail root is a file", `"mail"`, `"cert.pem"`, nil,
			"3: storage.root: open DIR/cert.pem: not a directory; name a directory that exists and that gomaild may write"},
		{"no database", `"accounts.sqlite"`, `"other.sqlite"`, nil,
			"4: accounts.path: stat DIR/other.sqlite: no such file or directory; name the file of an existing database, or make one: gomaild account add"},
		{"a database without the tables", `"accounts.sqlite"`, `"empty.sqlite"`, func(t *testing.T, dir string) { put(t, dir, "empty.sqlite", "") },
			"4: accounts.path: table domain is missing: this is no PostfixAdmin database; name the database that postfixadmin uses, or make one with gomaild account add"},
		{"a file that is no database", `"accounts.sqlite"`, `"cert.pem"`, nil,
			"4: accounts.path: postfixadmin: check: file is not a database (26); name the file of an existing database, or make one: gomaild account add"},
		{"no certificate", `"cert.pem"`, `"other.pem"`, nil,
			"7: tls.certificate.cert: certificate: open DIR/other.pem: no such file or directory; name the PEM file with the certificate and its chain, which gomaild may read"},
		{"no key", `"key.pem"`, `"other.pem"`, nil,
			"8: tls.certificate.key: private key: open DIR/other.pem: no such file or directory; name the PEM file with the private key, which gomaild may read"},
		{"a key that is none", `"key.pem"`, `"cert.pem"`, nil,
			"7: tls.certificate.cert: certificate DIR/cert.pem with key DIR/cert.pem: tls: found a certificate rather than a key in the PEM for the private key; name the PEM file with the certificate and its chain, and its own key"},
		{"a port that is taken", `127.0.0.1:0`, taken.Addr().String(), nil,
			"11: listener.address: listener mx: listen tcp " + taken.Addr().String() + ": bind: address already in use; stop what listens there, or give another address (for a running gomaild: check --running)"},
		{"an address of somebody else", `127.0.0.1:0`, "192.0.2.1:0", nil,
			"11: listener.address: listener mx: listen tcp 192.0.2.1:0: bind: cannot assign requested address; give an address that this host has, or only the port (for a running gomaild: check --running)"},
		{"a socket where no directory can be", `"run"`, `"cert.pem/run"`, nil,
			"12: listener.address: stat DIR/cert.pem/run: not a directory; name a socket in a directory that exists or can be made, here or as run_dir"},
		{"unique-ids that are all the same", `routing.post`, "pop3.unique_ids = \"%v\"\nrouting.post", nil,
			`5: pop3.unique_ids: "%v": needs %u, %f or %g: all messages would have the same unique-id; write "%08Xu%08Xv", or what pop3_uidl_format in Dovecot says`},
		{"an unknown scheme", `routing.post`, "accounts.default_scheme = \"ROT13\"\nrouting.post", nil,
			`5: accounts.default_scheme: {ROT13}: unknown password scheme; name one of docs/passwords.md, such as "MD5-CRYPT"`},
		{"a log that cannot be", `routing.post`, "log.destination = \"/nonexistent/log\"\nrouting.post", nil,
			"5: log.destination: stat /nonexistent: no such file or directory; name a file in a directory that exists and that gomaild may write"},
		{"no password file", `accounts.path = `, "accounts.driver = \"mysql\"\naccounts.password_file = \"secret\"\naccounts.path = ", nil,
			"5: accounts.password_file: open DIR/secret: no such file or directory; name a file that holds the password of the MySQL user and that gomaild may read"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			dir, text := goodWorld(t)
			if tt.spoil != nil {
				tt.spoil(t, dir)
			}
			path := save(t, dir, strings.Replace(text, tt.from, tt.to, 1))
			code, stdout, stderr := gomaild(t, "", "check", "-c", path)
			stderr, _, _ = strings.Cut(stderr, "\n"+path+":4: accounts.path: table mailbox") // one of the tables is enough
			stderr = strings.TrimSuffix(stderr, "\n") + "\n"
			want := path + ":" + strings.ReplaceAll(tt.want, "DIR", dir) + "\n"
			if code != exitConfig || stdout != "" || stderr != want {
				t.Errorf("exit %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
			}
		})
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCheckAll holds that one fault does not hide another.
func TestCheckAll(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	text = strings.NewReplacer(`"mail"`, `"nowhere"`, `"cert.pem"`, `"c"`, `"key.pem"`, `"k"`, "accounts.sqlite", "a").Replace(text)
	code, _, stderr := gomaild(t, "", "check", "-c", save(t, dir, text))
	if n := strings.Count(stderr, "\n"); code != exitConfig || n != 3 {
		t.Errorf("exit %d, %d lines:\n%s", code, n, stderr)
	}
}

func TestCheckWarns(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, strings.NewReplacer(
		"mail.example.test", "mail", "alice@example.test", "nobody@example.test").Replace(text))
	code, stdout, stderr := gomaild(t, "", "check", "-c", path)
	if code != exitOK || stdout != path+": good\n" {
		t.Errorf("exit %d: %s", code, stdout)
	}
	for _, want := range []string{
		`:1: hostname: "mail" is no full name`,
		`tls.certificate: no certificate is for mail`,
		`:5: routing.postmaster: nobody@example.test leads to nobody`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no warning %q in\n%s", want, stderr)
		}
	}
}

// TestCheckSieve holds what is said of [sieve], and of a check that there is not.
func TestCheckSieve(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	root := regexp.MustCompile(`root = "([^"]*)"`).FindStringSubmatch(text)[1]
	if !filepath.IsAbs(root) {
		root = filepath.Join(dir, root)
	}
	for name, script := range map[string]string{"bad.sieve": "keep\n", "good.sieve": "require \"include\"; include \"other\"; keep;\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := "sieve.before = \"bad.sieve\"\nsieve.default = \"none.sieve\"\nsieve.after = \"good.sieve\"\n" +
		"sieve.disable_extensions = \"regexp Reject\"\nsieve.programs.pipe = \"" + dir + "/none\"\n"
	path := save(t, dir, head+text)
	code, stdout, stderr := gomaild(t, "", "check", "-c", path)
	if code != exitOK || stdout != path+": good\n" {
		t.Errorf("exit %d: %s %s", code, stdout, stderr)
	}
	for _, want := range []string{
		`:1: sieve.before: the script is broken and does not run: bad.sieve: line 2`,
		`:2: sieve.default: none.sieve cannot be read`,
		`:4: sieve.disable_extensions: "regexp" is no extension`,
		`:5: sieve.programs.pipe: ` + dir + `/none is no directory`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no warning %q in\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "sieve.after") || strings.Contains(stderr, `"Reject"`) {
		t.Errorf("a warning of what is right:\n%s", stderr)
	}
	code, _, stderr = gomaild(t, "", "check", "-c", save(t, dir, "policy.checks = [\"spf\", \"foo\"]\n"+text))
	if want := `:1: policy.checks: "foo" is no check; use `; code != exitConfig || !strings.Contains(stderr, want) {
		t.Errorf("exit %d, no %q in\n%s", code, want, stderr)
	}
}

// TestCheckWarnsOfTheName holds that a host named as one of its mail domains is
// told where that mail goes.
func TestCheckWarnsOfTheName(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, strings.Replace(text, "mail.example.test", "example.test", 1))
	code, _, stderr := gomaild(t, "", "check", "-c", path)
	if want := `:1: hostname: "example.test" is also a domain of the database`; code != exitOK || !strings.Contains(stderr, want) {
		t.Errorf("exit %d, no warning %q in\n%s", code, want, stderr)
	}
}

func TestCheckRunning(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := save(t, dir, strings.Replace(text, "127.0.0.1:0", taken.Addr().String(), 1))
	if code, _, stderr := gomaild(t, "", "check", "--running", "-c", path); code != exitOK {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
