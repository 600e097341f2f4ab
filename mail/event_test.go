package mail_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEventsAreDocumented: the events of docs/logging.md are those of the code.
func TestEventsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/logging.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\| (?:info|warn|error) \\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Event") {
			return true
		}
		name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil || !documented[name] {
			t.Errorf("docs/logging.md has no row for the event %q: %v", name, err)
		}
		delete(documented, name)
		return true
	})
	for name := range documented {
		t.Errorf("docs/logging.md has %q, which is no event", name)
	}
}
