package sieve_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gomaild/sieve"
	"gomaild/sieve/program"
)

const suites = "../testdata/sieve"

// TestSuites runs the test scripts of testdata/sieve, one by extension.
func TestSuites(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(suites, "*.svtest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".svtest"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			passed, failed := sieve.RunTests(t.Context(), sieve.TestConfig{
				Dir:  suites,
				Read: os.ReadFile,
				Program: func(ctx context.Context, dir string, p sieve.Program) ([]byte, error) {
					return program.New(program.Config{Dirs: map[string]string{p.Extension: dir}}).Run(ctx, p)
				},
				Report: func(line string) { t.Log(line) },
			}, filepath.Base(f), src)
			if failed > 0 || passed == 0 {
				t.Errorf("%d passed, %d failed", passed, failed)
			}
		})
	}
}

// TestSuiteForEachExtension holds that each extension has a suite of its name, and
// that docs/sieve.md has a row for it which names a suite that is there.
func TestSuiteForEachExtension(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{Place: sieve.Anywhere, Programs: []string{"vnd.dovecot.pipe", "vnd.dovecot.filter", "vnd.dovecot.execute"}})
	doc, err := os.ReadFile("../docs/sieve.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\| (\\S+\\.svtest) \\|$").FindAllStringSubmatch(string(doc), -1) {
		named[row[1]] = row[2]
	}
	for _, x := range e.Extensions() {
		if _, err := os.Stat(filepath.Join(suites, named[x])); err != nil || named[x] == "" {
			t.Errorf("docs/sieve.md has no suite for %s: %v", x, err)
		}
		delete(named, x)
		short := strings.TrimPrefix(x, "vnd.dovecot.")
		switch {
		case strings.HasPrefix(x, "comparator-"):
			short = strings.ReplaceAll(x, ";", "-")
			if _, err := os.Stat(filepath.Join(suites, short+".svtest")); err != nil {
				short = "comparators"
			}
		case x == "vnd.dovecot.environment":
			short = x
		}
		text, err := os.ReadFile(filepath.Join(suites, short+".svtest"))
		if err != nil || strings.Count(string(text), "\ntest \"") < 2 || !strings.Contains(string(text), `"`+x+`"`) && short != "duplicate" && short != "imapsieve" {
			t.Errorf("%s has no suite: %v", x, err)
		}
	}
	for x := range named {
		t.Errorf("docs/sieve.md names %s, which is no extension", x)
	}
}

// TestSwitchedOff: each extension can be switched off, in any letters, and no
// other goes with it.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	c := sieve.Config{Place: sieve.Anywhere, Programs: []string{"vnd.dovecot.pipe", "vnd.dovecot.filter", "vnd.dovecot.execute"}}
	all := sieve.New(c).Extensions()
	for _, x := range all {
		off := c
		off.Off = []string{strings.ToUpper(x)}
		e := sieve.New(off)
		if got := len(e.Extensions()); got != len(all)-1 {
			t.Errorf("without %s there are %d of %d", x, got, len(all))
		}
		for _, y := range all {
			_, err := e.Compile("s", []byte("require \""+y+"\";"), nil)
			if isOff := err != nil && strings.Contains(err.Error(), "capability"); isOff != (x == y) {
				t.Errorf("without %s, require %s: %v", x, y, err)
			}
		}
	}
}
