package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestDKIM makes keys and reads the records that are printed as a name server
// would.
func TestDKIM(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	file := save(t, dir, text)
	code, rsa, stderr := gomaild(t, "", "dkim", "generate", "-c", file, "Example.TEST", "-s", "one")
	if code != exitOK {
		t.Fatal(stderr)
	}
	code, ed, stderr := gomaild(t, "", "dkim", "generate", "-c", file, "example.test", "-t", "ed25519")
	if code != exitOK {
		t.Fatal(stderr)
	}
	for line, want := range map[string]string{
		rsa: `^one\._domainkey\.example\.test\. .*v=DKIM1; k=rsa; p=MII[A-Za-z0-9+/]{385,}=*$`,
		ed:  `^m\d{6}\._domainkey\.example\.test\. .*v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$`,
	} {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got := rr.Header().Name + " " + strings.Join(rr.(*dns.TXT).Txt, "")
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("record %s", got)
		}
	}
	_, list, _ := gomaild(t, "", "dkim", "list", "-c", file)
	if list != ed+rsa {
		t.Errorf("list: %s", list)
	}
	info, err := os.Stat(filepath.Join(dir, "mail", ".gomaild", "dkim", "example.test", "one.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"example.test", "-s", "one"}, "name another with --selector"},
		{[]string{"example.test", "-s", "two", "-t", "dsa"}, "use rsa or ed25519"},
		{[]string{"../x"}, "not a domain or selector"},
		{[]string{"example.test", "-s", "../../x"}, "not a domain or selector"},
	} {
		code, _, stderr := gomaild(t, "", append([]string{"dkim", "generate", "-c", file}, tt.args...)...)
		if code != exitFault || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: %d, %s", tt.args, code, stderr)
		}
	}
}
