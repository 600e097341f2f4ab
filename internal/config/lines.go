package config

import (
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// keyLines finds the line of every key and table of a TOML text that has
// already been read without an error. Paths are "tls.certificate[0].cert".
func keyLines(data []byte) map[string]int {
	w := lineWalker{lines: map[string]int{}, arrays: map[string]int{}}
	w.parser.Reset(data)
	var table string
	for w.parser.NextExpression() {
		n := w.parser.Expression()
		switch n.Kind {
		case unstable.Table:
			table = w.key("", n.Key())
		case unstable.ArrayTable:
			table = w.element(n)
		case unstable.KeyValue:
			w.keyValue(table, n)
		default: // comments
		}
	}
	return w.lines
}

type lineWalker struct {
	parser unstable.Parser
	lines  map[string]int
	arrays map[string]int // elements so far of each array of tables
}

// key joins a dotted key to the path of its table, through the last element of
// each array of tables on the way, and notes the line of each part.
func (w *lineWalker) key(table string, parts unstable.Iterator) string {
	path := table
	for parts.Next() {
		n := parts.Node()
		path = join(path, string(n.Data))
		w.note(path, n)
		if count := w.arrays[path]; count > 0 {
			path = index(path, count-1)
		}
	}
	return path
}

// element begins the next table of an array of tables.
func (w *lineWalker) element(n *unstable.Node) string {
	path := ""
	for parts := n.Key(); parts.Next(); {
		part := parts.Node()
		path = join(path, string(part.Data))
		w.note(path, part)
		if parts.IsLast() {
			w.arrays[path]++
		}
		if count := w.arrays[path]; count > 0 {
			path = index(path, count-1)
			if parts.IsLast() {
				w.note(path, part)
			}
		}
	}
	return path
}

// keyValue notes a key, and the keys of the inline tables in its value.
func (w *lineWalker) keyValue(table string, n *unstable.Node) {
	w.value(w.key(table, n.Key()), n.Value())
}

func (w *lineWalker) value(path string, v *unstable.Node) {
	i := 0
	for children := v.Children(); children.Next(); {
		child := children.Node()
		switch {
		case child.Kind == unstable.KeyValue:
			w.keyValue(path, child)
		case v.Kind == unstable.Array:
			element := index(path, i)
			w.note(element, child)
			w.value(element, child)
			i++
		default: // the dotted key of a key-value, seen by key
		}
	}
}

// note keeps the first line of a path.
func (w *lineWalker) note(path string, n *unstable.Node) {
	if _, seen := w.lines[path]; !seen && n.Raw.Length > 0 {
		w.lines[path] = w.parser.Shape(n.Raw).Start.Line
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
