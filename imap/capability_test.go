package imap

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shownByTests are capabilities that a file of lines cannot show, with the test
// that does.
var shownByTests = map[string]string{
	"COMPRESS=DEFLATE": "TestCompress",
	"INPROGRESS":       "TestProgress",
}

// TestEveryCapabilityIsShown holds that a comment of a dialog names each
// capability that a login is offered, and the RFC whose examples it follows
// somewhere near: what is offered is shown.
func TestEveryCapabilityIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AccessLists = true })
	c := w.dial(w.listen())
	c.line()
	offered := strings.Fields(strings.TrimPrefix(c.do("CAPABILITY")[0], "* CAPABILITY "))
	if len(offered) < 50 {
		t.Errorf("offered %q", offered)
	}
	var comments []string
	files, err := filepath.Glob("../testdata/dialogs/imap/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				comments = append(comments, line)
			}
		}
	}
	all := strings.Join(comments, "")
	for _, name := range offered {
		name, _, _ = strings.Cut(name, "=1048") // the number of APPENDLIMIT
		if strings.HasPrefix(name, "AUTH=") || name == "STARTTLS" || shownByTests[name] != "" {
			continue // login.txt, TestStartTLS, and those above
		}
		words := regexp.MustCompile(`[A-Za-z0-9=+-]*[A-Za-z0-9+]`).FindAllString(all, -1)
		if !slices.Contains(words, name) {
			t.Errorf("no dialog says that it shows %s", name)
		}
	}
	for name, test := range shownByTests {
		if !strings.Contains(testFunctions(t), "func "+test) {
			t.Errorf("%s should be shown by %s, which is not there", name, test)
		}
	}
}

// testFunctions are the tests of this package.
func testFunctions(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
