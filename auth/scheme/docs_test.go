package scheme

import (
	"os"
	"regexp"
	"testing"
)

// docs/passwords.md names every scheme and every form of crypt(3).
func TestDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/passwords.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range definitions {
		if !regexp.MustCompile(`[ ,|]` + regexp.QuoteMeta(name) + `[ ,]`).Match(doc) {
			t.Errorf("scheme %s is not in docs/passwords.md", name)
		}
	}
	for _, p := range prefixes {
		if !regexp.MustCompile("`" + regexp.QuoteMeta(p.prefix)).Match(doc) {
			t.Errorf("form %s is not in docs/passwords.md", p.prefix)
		}
	}
}
