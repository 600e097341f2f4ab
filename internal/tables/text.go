package tables

import (
	"errors"
	"fmt"
	"strings"

	"gomaild/mail"
)

// Bounds of one file.
const (
	maxFile  = 64 << 20 // octets
	maxLines = 2_000_000
	maxLine  = 64 << 10 // octets of a logical line
)

// logicalLine is a line with those that go on with it; n is where it begins,
// from 1.
type logicalLine struct {
	n    int
	text string
}

// logicalLines splits the text of a table. A comment or an empty line does not
// end a logical line.
func logicalLines(text string) ([]logicalLine, error) {
	var list []logicalLine
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case n > maxLines:
			return nil, &lineError{n, errors.New("the table has too many lines")}
		case strings.ContainsRune(line, 0):
			return nil, &lineError{n, errors.New("a NUL: this is not a text; name the file that postmap reads, not the one it makes")}
		case trimmed == "" || trimmed[0] == '#':
		case trimmed != line && len(list) == 0:
			return nil, &lineError{n, errors.New("the first line begins with whitespace, and there is none that it could go on with")}
		case trimmed != line:
			last := &list[len(list)-1]
			if len(last.text)+len(line) > maxLine {
				return nil, &lineError{n, errors.New("the line is too long")}
			}
			last.text += line
		case len(line) > maxLine:
			return nil, &lineError{n, errors.New("the line is too long")}
		default:
			list = append(list, logicalLine{n, line})
		}
	}
	return list, nil
}

// lineError is a fault at a line of a file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// fixed is a table of names, folded.
type fixed map[string]string

func (t fixed) find(key, folded string, whole bool) (string, bool) {
	v, ok := t[folded]
	return v, ok
}

func (t fixed) values(yield func(string) bool) {
	for _, v := range t {
		if !yield(v) {
			return
		}
	}
}

// parseFixed reads the text of a hash: table.
func parseFixed(text string) (table, error) {
	lines, err := logicalLines(text)
	if err != nil {
		return nil, err
	}
	t := make(fixed, len(lines))
	for _, l := range lines {
		key, value, err := cutKey(l.text)
		if err != nil {
			return nil, &lineError{l.n, err}
		}
		if _, twice := t[mail.FoldASCII(key)]; !twice {
			t[mail.FoldASCII(key)] = value
		}
	}
	return t, nil
}

// cutKey splits "key whitespace value". Whitespace within double quotes does not
// end a key, and the quotes stay: they are those of a local part.
func cutKey(line string) (key, value string, err error) {
	end, quoted := 0, false
	for end < len(line) && (quoted || line[end] != ' ' && line[end] != '\t') {
		switch {
		case line[end] == '"':
			quoted = !quoted
		case line[end] == '\\' && end+1 < len(line):
			end++
		}
		end++
	}
	if quoted {
		return "", "", errors.New("the quote of the key is not closed")
	}
	key, value = line[:end], strings.Trim(line[end:], " \t")
	if value == "" {
		return "", "", errors.New(`there is no value; write "key value"`)
	}
	return key, value, nil
}

// parseInline reads what stands in inline:{ key = value, ... }.
func parseInline(text string) (table, error) {
	body, opened := strings.CutPrefix(strings.TrimSpace(text), "{")
	body, ok := strings.CutSuffix(body, "}")
	if !opened || !ok {
		return nil, errors.New("write inline:{key=value, key=value}")
	}
	t := fixed{}
	for body = strings.TrimLeft(body, ", \t\r\n"); body != ""; body = strings.TrimLeft(body, ", \t\r\n") {
		var one string
		if inner, braced := strings.CutPrefix(body, "{"); braced { // { key = value with blanks }
			if one, body, ok = strings.Cut(inner, "}"); !ok {
				return nil, errors.New("a brace is not closed")
			}
		} else if i := strings.IndexAny(body, ", \t\r\n"); i >= 0 {
			one, body = body[:i], body[i:]
		} else {
			one, body = body, ""
		}
		key, value, ok := strings.Cut(one, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("%.40q is not key=value", one)
		}
		if _, twice := t[mail.FoldASCII(key)]; !twice {
			t[mail.FoldASCII(key)] = value
		}
	}
	return t, nil
}
