package gomaild

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPackagesAreDocumented holds that every package says what it is for in a
// comment that begins in the usual way.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, s := range parseTree(t) {
		if s.isTest {
			continue
		}
		docs[s.pkg] += s.file.Doc.Text()
	}
	for pkg, doc := range docs {
		if !strings.HasPrefix(doc, "Package ") && !strings.HasPrefix(doc, "Gomaild ") {
			t.Errorf("package %s has no doc comment", pkg)
		}
		if strings.Count(doc, "Package ") > 1 && strings.Contains(doc, "\nPackage ") {
			t.Errorf("package %s has more than one doc comment", pkg)
		}
	}
}

// TestExportedNamesAreDocumented holds that an exported name carries a comment,
// alone or with its group. String and Error say what everybody expects.
func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range parseTree(t) {
		if s.isTest || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && onExported(d) && d.Doc == nil && !isUsual(d) {
					t.Errorf("%s: %s has no comment", s.at(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				checkGroup(t, s, d)
			}
		}
	}
}

func isUsual(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "String" || d.Name.Name == "Error" || d.Name.Name == "Unwrap")
}

// onExported reports whether d is a function or a method of an exported type.
func onExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	recv := d.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	name, ok := recv.(*ast.Ident)
	return ok && name.IsExported()
}

// checkGroup looks at the types, constants and variables of one declaration.
func checkGroup(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				t.Errorf("%s: type %s has no comment", s.at(spec.Pos()), spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
				t.Errorf("%s: %s has no comment", s.at(spec.Pos()), spec.Names[0].Name)
			}
		}
	}
}

// TestNamedTests holds that the tests which documents name are there.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, s := range parseTree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest {
				pkg := s.pkg
				if pkg == "." {
					pkg = "gomaild"
				}
				there[pkg+"."+f.Name.Name] = true
			}
		}
	}
	for _, file := range []string{"docs/failover.md", "docs/inbound.md", "docs/mailboxes.md", "docs/sending.md", "docs/sieve.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Benchmark|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
		if len(named) < 50 {
			t.Errorf("%s names %d tests", file, len(named))
		}
		for _, m := range named {
			if !there[m[1]] {
				t.Errorf("%s names %s, which is nowhere", file, m[1])
			}
		}
	}
}
