package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// decoder moves a TOML tree into the structs of types.go. Unlike the library's
// own decoder it does not stop at the first fault, and it knows what each kind
// of value looks like, so that it can say what would be right.
type decoder struct {
	src  source
	errs Errors
	bad  []string // paths with a fault of their own
}

func (d *decoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, d.src.at(path, fmt.Sprintf(format, args...), nil))
	d.bad = append(d.bad, path)
}

// failedIn reports whether path or something below it has a fault already.
func (d *decoder) failedIn(path string) bool {
	return slices.ContainsFunc(d.bad, func(p string) bool {
		rest, ok := strings.CutPrefix(p, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// table fills the struct that to points at.
func (d *decoder) table(to any, path string, tree map[string]any) {
	v := reflect.ValueOf(to).Elem()
	fields := fieldsOf(v.Type())
	for name, value := range tree {
		at := join(path, name)
		i, known := fields[name]
		if !known {
			d.fail(at, "%s", unknownKey(path, name, fields))
			continue
		}
		d.value(v.Field(i), at, value)
	}
}

func unknownKey(path, name string, fields map[string]int) string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	sort.Strings(names)
	where := "at the top of the file"
	if path != "" {
		where = "in [" + stripIndexes(path) + "]"
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("unknown key; did you mean %q?", near)
	}
	return fmt.Sprintf("unknown key; the keys %s are %s", where, strings.Join(names, ", "))
}

// fieldsOf maps the keys of a table to the fields of its struct.
func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("toml"); name != "" {
			fields[name] = i
		}
	}
	return fields
}

// value stores one TOML value in a field.
func (d *decoder) value(to reflect.Value, path string, value any) {
	if text, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(text, to.Type(), path, value)
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		if tree, ok := value.(map[string]any); ok {
			d.table(to.Addr().Interface(), path, tree)
			return
		}
	case reflect.Slice:
		if list, ok := value.([]any); ok {
			d.list(to, path, list)
			return
		}
	case reflect.Int:
		if n, ok := value.(int64); ok {
			to.SetInt(n)
			return
		}
	default: // string and bool: as TOML has them
		if v := reflect.ValueOf(value); v.Kind() == to.Kind() {
			to.Set(v.Convert(to.Type()))
			return
		}
	}
	d.fail(path, "%s is not %s", describe(value), wanted(to.Type()))
}

// text stores a string in a type of values.go, or in a netip.Prefix.
func (d *decoder) text(to encoding.TextUnmarshaler, t reflect.Type, path string, value any) {
	s, ok := value.(string)
	if !ok {
		d.fail(path, "%s is not %s", describe(value), wanted(t))
		return
	}
	prefix, isPrefix := to.(*netip.Prefix)
	if !isPrefix {
		if err := to.UnmarshalText([]byte(s)); err != nil {
			d.fail(path, "%v", err)
		}
		return
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		d.fail(path, `%q is not a network; write it with its length, such as "192.0.2.0/24" or "::1/128"`, s)
		return
	}
	*prefix = p.Masked()
}

func (d *decoder) list(to reflect.Value, path string, list []any) {
	if len(list) == 0 {
		to.SetZero()
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, value := range list {
		element := to.Index(i)
		if l, ok := element.Addr().Interface().(*Listener); ok {
			*l = defaultListener()
		}
		d.value(element, index(path, i), value)
	}
}

// describe names a TOML value of the wrong kind.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}

// wanted says what a value of type t looks like in the file.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return `a time span; write a string with a number and its unit, such as "90s" or "5m"`
	case reflect.TypeFor[Size]():
		return `a size; write a string with a whole number and its unit, such as "50MB"`
	case reflect.TypeFor[FileMode]():
		return `a file mode; write a string with octal digits, such as "0660"`
	case reflect.TypeFor[netip.Prefix]():
		return `a network; write a string such as "192.0.2.0/24"`
	case reflect.TypeFor[Rate]():
		return `a rate; write a string such as "100/1h"`
	case reflect.TypeFor[[]int]():
		return `a list of whole numbers; write it as [80, 95]`
	case reflect.TypeFor[[]Rate]():
		return `a list of rates; write it as ["100/1h"]`
	}
	if c, ok := reflect.Zero(t).Interface().(choice); ok {
		return "one of the values; use " + quotedList(c.choices())
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false, without quotes"
	case reflect.Int:
		return "a whole number, without quotes"
	case reflect.Struct:
		return "a table; write its keys below a line [NAME], or each as NAME.KEY = VALUE"
	case reflect.Slice:
		if t.Elem() == reflect.TypeFor[netip.Prefix]() {
			return `a list of networks; write it as ["192.0.2.0/24"]`
		}
		if !isTables(t) {
			return `a list of texts; write it as ["one", "two"]`
		}
		return "a list of tables; begin each with its name in double brackets, [[NAME]]"
	default:
		return "a text; write it in double quotes"
	}
}

// sorted puts faults in the order of the file.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Key, b.Key)
	})
	return e
}
