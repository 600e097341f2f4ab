package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const badFiles = "../../testdata/config/bad-*.toml"

// TestBadFiles holds the message that each broken file must give: the lines
// "# want: LINE: KEY: PROBLEM" at its end, all of them, in order.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(badFiles)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d bad files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			t.Parallel()
			_, err := Load(file)
			if err == nil {
				t.Fatal("was taken")
			}
			if !IsFault(err) {
				t.Errorf("%T is no configuration fault", err)
			}
			var got strings.Builder
			for line := range strings.Lines(err.Error()) {
				got.WriteString(strings.TrimPrefix(line, file+":"))
			}
			if want := wantedLines(t, file); got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

func wantedLines(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(text)) {
		if w, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, strings.TrimSpace(w))
		}
	}
	return strings.Join(want, "\n")
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gomaild.toml")
	_, err := Load(name)
	if !errors.Is(err, fs.ErrNotExist) || !IsFault(err) {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{name + ": ", "file does not exist", "gomaild config example > " + name} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestNotAFile(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.toml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		t.TempDir(): "is not a file",
		large:       "more than a configuration may have",
	} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestRelativePaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "gomaild.toml")
	text := `
run_dir = "run"
storage.root = "mail"
[accounts]
path = "accounts.sqlite"
password_file = "secret"
[[tls.certificate]]
cert = "cert.pem"
key = "/etc/key.pem"
[[listener]]
type = "lmtp"
[[listener]]
type = "lda"
address = "unix:sub/lda"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.RunDir:                   "run",
		c.Storage.Root:             "mail",
		c.Accounts.Path:            "accounts.sqlite",
		c.Accounts.PasswordFile:    "secret",
		c.TLS.Certificates[0].Cert: "cert.pem",
	} {
		if got != filepath.Join(dir, want) {
			t.Errorf("%s is %s", want, got)
		}
	}
	if k := c.TLS.Certificates[0].Key; k != "/etc/key.pem" {
		t.Errorf("an absolute path became %s", k)
	}
	for i, want := range []string{"run/lmtp", "sub/lda"} {
		if network, address := c.Listeners[i].Endpoint(); network != "unix" || address != filepath.Join(dir, want) {
			t.Errorf("listener %d is at %s %s", i, network, address)
		}
	}
}

func TestListenerDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse("empty", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range c.Listeners {
		got = append(got, string(l.Type)+" "+l.Address+" "+string(l.TLS))
	}
	want := "mx :25 starttls, submission :587 starttls, submission :465 implicit, imap :143 starttls, imap :993 implicit, " +
		"pop3 :110 starttls, pop3 :995 implicit, managesieve :4190 starttls, lmtp unix:/run/gomaild/lmtp none, lda unix:/run/gomaild/lda none"
	if strings.Join(got, ", ") != want {
		t.Errorf("an empty file listens on %s", strings.Join(got, ", "))
	}
}

// TestEveryKind reads one value of each kind that a file may hold.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	c, err := Parse("full.toml", []byte(`
hostname = "mail.example.org"
grace = "1h30m"
[storage]
uid = 1100
spool_memory = "2 mib"
special = { sent = "Sent Items", archive = "Archive" }
[accounts]
driver = "mysql"
address = "/run/mysqld/mysqld.sock"
deployed_answers = true
[[tls.certificate]]
cert = "c"
key = "k"
[[listener]]
type = "submission"
tls = "none"
trusted_networks = ["10.1.2.3/8", "::1/128"]
mode = "0600"
`))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Listeners[0]
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for what, ok := range map[string]bool{
		"text":             c.Hostname == "mail.example.org",
		"time span":        c.Grace == Duration(90*time.Minute),
		"number":           c.Storage.UID == 1100,
		"size":             c.Storage.SpoolMemory == 2<<20,
		"inline table":     c.Storage.Special.Sent == "Sent Items" && c.Storage.Special.Trash == "Trash",
		"choice":           c.Accounts.Driver == MySQL,
		"bool":             c.Accounts.DeployedAnswers,
		"networks":         len(l.TrustedNetworks) == 2 && l.TrustedNetworks[0] == networks[0] && l.TrustedNetworks[1] == networks[1],
		"file mode":        l.Mode == 0o600,
		"default in table": l.MaxConnections == 2000,
	} {
		if !ok {
			t.Errorf("%s was not read: %+v", what, c)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	c, err := Parse("a.toml", []byte("[[tls.certificate]]\ncert = \"c\"\nkey = \"k\"\n[accounts]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"tls.certificate[0].key": "a.toml:3: tls.certificate.key: file does not exist; name another",
		"accounts.path":          "a.toml:4: accounts.path: file does not exist; name another", // the table, where the key would be
		"storage.root":           "a.toml: storage.root: file does not exist; name another",
	} {
		e := c.At(path, fs.ErrNotExist, "name another")
		if e.Error() != want || !errors.Is(e, fs.ErrNotExist) {
			t.Errorf("%s: %v\nwant %s", path, e, want)
		}
	}
}

func TestSpelling(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"90s": "1m30s", "5m": "5m", "60m": "1h", "0s": "0s", "1h30m": "1h30m",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s prints %s (%v)", text, d, err)
		}
	}
	for text, want := range map[string]string{
		"50MB": "50MB", "1500kB": "1500kB", "1GiB": "1GiB", "1024kib": "1MiB", "0B": "0B", "7b": "7B", "1000 mb": "1GB",
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s prints %s (%v)", text, s, err)
		}
	}
	for _, text := range []string{"", "MB", "5", "5XB", "99999999999GiB", "1.5MB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is no size", text)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"hostname", "run_dir", "key", "cert"}
	for text, want := range map[string]string{
		"hostnme": "hostname", "HostName": "hostname", "rundir": "run_dir", "kye": "key", "crt": "cert", "xyzzy": "", "": "",
	} {
		if got := nearest(text, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", text, got, want)
		}
	}
}

// FuzzParse holds that any text gives a configuration or Errors that name the
// file, and never a panic.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob(badFiles)
	for _, file := range append(files, "../../docs/gomaild.example.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f.toml", text)
		if err == nil {
			if len(c.Listeners) == 0 {
				t.Error("nothing listens")
			}
			return
		}
		all, ok := errors.AsType[Errors](err)
		if !ok || len(all) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		for _, e := range all {
			if e.File != "f.toml" || e.Problem == "" || e.Line < 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// TestRate holds the values of a rate.
func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"100/1h": "100/1h", "1/1s": "1/1s", "5/24h": "5/24h", "7/90s": "7/1m30s",
		"": "", "5": "", "0/1h": "", "-1/1h": "", "5/0s": "", "5/1ms": "", "5/745h": "", "5/-1h": "", "1000001/1h": "", "5/hour": "", "a/1h": "",
	} {
		var r Rate
		err := r.UnmarshalText([]byte(text))
		if (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
}
