package config

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// The comments in types.go are the documentation of the keys.
//
//go:embed types.go
var typesSource string

// section is one table of the file with its keys.
type section struct {
	path  string // "storage.special", "" for the top of the file
	array bool   // [[path]]
	doc   string
	keys  []key
}

// key is one key of a table.
type key struct {
	name, kind, value, doc string
	values                 []string // of a choice
}

// sections lists all that the file may hold, in the order of types.go.
func sections() ([]section, error) {
	docs, err := fieldDocs()
	if err != nil {
		return nil, err
	}
	g := generator{docs: docs}
	g.table("", "", reflect.ValueOf(*Default()), false)
	return g.sections, nil
}

// fieldDocs maps "Type.Field" to the comment of the field.
func fieldDocs() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", typesSource, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("read the comments of types.go: %w", err)
	}
	docs := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				docs[spec.Name.Name+"."+f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	return docs, nil
}

type generator struct {
	docs     map[string]string
	sections []section
}

// table adds the section of a struct, then those of the tables in it.
func (g *generator) table(path, doc string, v reflect.Value, array bool) {
	s := section{path: path, array: array, doc: doc}
	var later []func()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("toml")
		if name == "" {
			continue
		}
		doc, at, value := g.docs[v.Type().Name()+"."+field.Name], join(path, name), v.Field(i)
		switch {
		case value.Kind() == reflect.Struct:
			later = append(later, func() { g.table(at, doc, value, false) })
		case isTables(value.Type()):
			later = append(later, func() { g.table(at, doc, elementOf(value.Type()), true) })
		default:
			s.keys = append(s.keys, key{name, kindOf(value.Type()), literal(value), doc, choicesOf(value)})
		}
	}
	g.sections = append(g.sections, s)
	for _, f := range later {
		f()
	}
}

// isTables reports a list of tables: [[path]].
func isTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[netip.Prefix]() && t.Elem() != reflect.TypeFor[Rate]()
}

// elementOf is what one empty table of a list gives.
func elementOf(list reflect.Type) reflect.Value {
	if list.Elem() == reflect.TypeFor[Listener]() {
		return reflect.ValueOf(defaultListener())
	}
	return reflect.Zero(list.Elem())
}

// kindOf names a type and its unit for a reader.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "time span (ms, s, m, h)"
	case reflect.TypeFor[Size]():
		return "size (B, kB, MB, GB, KiB, MiB, GiB)"
	case reflect.TypeFor[FileMode]():
		return "file mode (octal digits)"
	case reflect.TypeFor[[]netip.Prefix]():
		return "list of networks"
	case reflect.TypeFor[[]Duration]():
		return "list of time spans"
	case reflect.TypeFor[[]Rate]():
		return "list of rates"
	case reflect.TypeFor[[]int]():
		return "list of whole numbers"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Slice:
		return "list of texts"
	default:
		return "text"
	}
}

func choicesOf(v reflect.Value) []string {
	if c, ok := v.Interface().(choice); ok {
		return c.choices()
	}
	return nil
}

// literal writes a value as TOML.
func literal(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []netip.Prefix, []Rate, []int:
		return "[]"
	case []string:
		quoted := make([]string, len(x))
		for i, s := range x {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case []Duration:
		quoted := make([]string, len(x))
		for i, d := range x {
			quoted[i] = strconv.Quote(d.String())
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case fmt.Stringer:
		return strconv.Quote(x.String())
	}
	if v.Kind() == reflect.String {
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// Markdown is docs/config.md.
func Markdown() (string, error) {
	all, err := sections()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(markdownHead)
	for _, s := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title())
		if s.doc != "" {
			b.WriteString(s.doc + "\n\n")
		}
		if len(s.keys) == 0 {
			continue
		}
		b.WriteString("| key | kind | default | |\n|---|---|---|---|\n")
		for _, k := range s.keys {
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", k.name, k.kindText(), k.value, strings.ReplaceAll(k.doc, "|", `\|`))
		}
	}
	return b.String(), nil
}

const markdownHead = `# The configuration

<!-- Generated from internal/config/types.go: gomaild config doc. Do not edit. -->

gomaild reads one TOML file: ` + "`gomaild serve -c FILE`, by default `" + DefaultPath + "`" + `. Every key has a default, and an empty
file is a valid one. A key that is not listed here, or a value of the wrong kind, is an error that names file, line and key; nothing
is guessed. ` + "`gomaild check -c FILE`" + ` also looks at what the file names: directories, certificates, the database, the addresses.
Relative paths are taken from the directory of the file. ` + "`gomaild.example.toml`" + ` beside this page is a file with every key at
its default, in comments.

After a change send SIGHUP: the file is read again, checked, and taken over without a break; when something is wrong with it the
server goes on with the old one and logs why. Certificates are read again even when the file is the same. Where something did
change, open sessions end as at a stop: idle ones at once, busy ones when they are done, at most ` + "`grace`" + ` later. The top-level
` + "`hostname`, all of `[storage]`, `[acl]` and `[metrics]`, and `format` and `destination` of `[log]`" + ` change with a restart only, and a file that
changes them is refused.
`

func (s section) title() string {
	switch {
	case s.path == "":
		return "The top of the file"
	case s.array:
		return "`[[" + s.path + "]]`"
	default:
		return "`[" + s.path + "]`"
	}
}

func (k key) kindText() string {
	if len(k.values) == 0 {
		return k.kind
	}
	return "`" + strings.Join(k.values, "`, `") + "`"
}

// Example is docs/gomaild.example.toml: every key at its default, commented.
func Example() (string, error) {
	all, err := sections()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# gomaild's configuration. Every key stands here in a comment, with its default.\n" +
		"# Written by: gomaild config example. Check your own with: gomaild check -c FILE\n")
	for _, s := range all {
		b.WriteString("\n")
		comment(&b, s.doc)
		switch {
		case s.array:
			fmt.Fprintf(&b, "#[[%s]]\n", s.path)
		case s.path != "":
			fmt.Fprintf(&b, "[%s]\n", s.path)
		}
		for _, k := range s.keys {
			b.WriteString("\n")
			comment(&b, k.doc)
			if len(k.values) > 0 {
				comment(&b, "One of "+quotedList(k.values)+".")
			} else if strings.Contains(k.kind, "(") {
				comment(&b, "A "+k.kind+".")
			}
			fmt.Fprintf(&b, "#%s = %s\n", k.name, k.value)
		}
	}
	return b.String(), nil
}

// comment writes text as comment lines of at most 80 columns.
func comment(b *strings.Builder, text string) {
	const width = 78
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			b.WriteString("# " + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		b.WriteString("# " + line + "\n")
	}
}
