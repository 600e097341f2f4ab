package gomaild

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNoSleepInTests holds that tests wait for events, or in a bubble of
// testing/synctest, never for the clock.
func TestNoSleepInTests(t *testing.T) {
	t.Parallel()
	for _, s := range parseTree(t) {
		if !s.isTest || imports(s, "testing/synctest") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "time", "Sleep") {
				t.Errorf("%s: a test sleeps", s.at(call.Pos()))
			}
			return true
		})
	}
}

// TestNoInit holds that nothing is wired before main.
func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, s := range parseTree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init wires what nobody can see", s.at(f.Pos()))
			}
		}
	}
}

// TestDiskThroughDurable holds that the packages that keep mail reach the disk
// through internal/durable alone; tests and the exceptions may use os.
func TestDiskThroughDurable(t *testing.T) {
	t.Parallel()
	writers := []string{"Create", "WriteFile", "Rename", "Remove", "RemoveAll", "Mkdir", "MkdirAll", "OpenFile", "Link", "Symlink", "Truncate"}
	exceptions := []string{
		"internal/durable",     // it is the way
		"internal/listener",    // unix sockets are no mail
		"internal/mariadbtest", // a test server's own directory
		"internal/peertest",    // claims of ports among tests
		"e2e",
	}
	for _, s := range parseTree(t) {
		if s.isTest || slices.Contains(exceptions, s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, w := range writers {
				if isSelector(call.Fun, "os", w) {
					t.Errorf("%s: os.%s, not internal/durable", s.at(call.Pos()), w)
				}
			}
			return true
		})
	}
}

// TestBackgroundContext holds that a context comes from a session or a job.
// Packages named ...test are tests.
func TestBackgroundContext(t *testing.T) {
	t.Parallel()
	for _, s := range parseTree(t) {
		if s.isTest || s.pkg == "e2e" || s.pkg == "daemon" || strings.HasPrefix(s.pkg, "cmd/") || strings.HasSuffix(s.pkg, "test") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "context", "Background") {
				t.Errorf("%s: context.Background belongs in main, daemon and tests", s.at(call.Pos()))
			}
			return true
		})
	}
}

// TestMarks holds that nothing half done is left with a mark in place of the
// work.
func TestMarks(t *testing.T) {
	t.Parallel()
	marks := []string{"TO" + "DO", "FIX" + "ME", "not " + "implemented", "un" + "implemented"}
	for _, s := range parseTree(t) {
		for _, g := range s.file.Comments {
			for _, m := range marks {
				if strings.Contains(g.Text(), m) {
					t.Errorf("%s: a mark %q", s.at(g.Pos()), m)
				}
			}
		}
	}
}

func imports(s source, path string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
		p, _ := strconv.Unquote(i.Path.Value)
		return p == path
	})
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg && id.NamePos != token.NoPos
}
