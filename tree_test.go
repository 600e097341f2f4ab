package gomaild

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the import path that our packages share.
const module = "gomaild/"

// source is one parsed Go file of the tree.
type source struct {
	pkg    string // folder from the root, "imap/wire"
	name   string
	isTest bool
	fset   *token.FileSet
	file   *ast.File
}

// at is a position for a message.
func (s source) at(p token.Pos) string {
	return path.Join(s.pkg, s.name) + ":" + strconv.Itoa(s.fset.Position(p).Line)
}

// parseTree reads every Go file below the root.
func parseTree(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (p != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{
			pkg:    filepath.ToSlash(filepath.Dir(p)),
			name:   d.Name(),
			isTest: strings.HasSuffix(p, "_test.go"),
			fset:   fset,
			file:   f,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
