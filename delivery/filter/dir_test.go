package filter_test

import (
	"os"
	"path/filepath"
	"testing"

	"gomaild/delivery/filter"
)

// TestScriptDirectory holds that scripts, includes and lists are found in the
// directory that Dovecot's sieve_dir names, be it its default.
func TestScriptDirectory(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"sieve", ".sieve"} {
		w := newWorld(t, func(c *filter.Config) { c.Dir = dir })
		w.write("bob/"+dir+"/main.sieve", `require ["include","fileinto","extlists","envelope"]; include "more"; if envelope :list "from" ":addrbook:friends" { fileinto "Friends"; }`)
		w.write("bob/"+dir+"/more.sieve", `if header "subject" "never" { discard; }`)
		w.write("bob/"+dir+"/friends.list", "ann@example.org\n")
		if err := os.Symlink(dir+"/main.sieve", filepath.Join(w.dir, "bob/.dovecot.sieve")); err != nil {
			t.Fatal(err)
		}
		w.want(simple, "Friends")
		if w.log() != "" {
			t.Errorf("%s: the log holds %q", dir, w.log())
		}
	}
}
