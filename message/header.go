package message

import (
	"fmt"
	"io"
	"iter"
	"strings"
)

// Field is one header field. Value is what stands after the colon, line ends
// and folding included, as stored; of a field longer than 64 KiB it is the
// beginning.
type Field struct {
	Name  string // without blanks before the colon; its case is the message's
	Value []byte // valid until the next field is read
	Span  Span   // of the whole field, line ends included
}

// Text is the value on one line: unfolded, blanks around it removed, not
// decoded (see DecodeHeader).
func (f Field) Text() string { return unfold(f.Value) }

// Is reports whether the field has that name, in any case of letters.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Fields goes over the fields of a header, Part.Header of some part or the
// whole content. It ends at the empty line or the end of the span; a line
// without a colon is a field with a name alone. A read error ends it too, as
// the last pair's error.
func Fields(c Content, header Span) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		l := newLineScanner(c, header)
		var f Field
		open := false
		for {
			at := l.off
			pc, ok := l.next()
			if !ok || pc.isBlank() {
				break
			}
			if pc.start && pc.text[0] != ' ' && pc.text[0] != '\t' || !open {
				if open && !yield(f, nil) {
					return
				}
				name, value := cutField(pc.text)
				f = Field{Name: string(name[:min(len(name), maxName)]), Value: f.Value[:0], Span: Span{Off: at}}
				open = true
				pc.text = value
			}
			f.Value = append(f.Value, pc.text[:min(len(pc.text), maxValue-len(f.Value))]...)
			f.Span.Len = l.off - f.Span.Off
		}
		if open && !yield(f, nil) {
			return
		}
		if l.err != nil {
			yield(Field{}, fmt.Errorf("read header: %w", l.err))
		}
	}
}

// maxName bounds the kept part of a field's name.
const maxName = 998

// HeaderFields is the wire form of the fields of a header that are in names,
// or with not those that are not in names, and the empty line after them if there is one, as
// BODY[HEADER.FIELDS (...)] of RFC 3501 section 6.4.5 wants it. The size is
// what r will give. The header is read once to count and once more as r is
// read, so memory does not depend on it.
func HeaderFields(c Content, header Span, names []string, not bool) (r io.Reader, wireSize int64, err error) {
	open := func() *wireReader {
		return &wireReader{size: header.Len, src: &fieldFilter{lines: newLineScanner(c, header), names: names, not: not, keep: not}}
	}
	wireSize, err = io.Copy(io.Discard, open())
	if err != nil {
		return nil, 0, fmt.Errorf("read header: %w", err)
	}
	return open(), wireSize, nil
}

// fieldFilter reads the stored octets of the chosen fields and an empty line.
type fieldFilter struct {
	lines *lineScanner
	names []string
	not   bool
	rest  []byte
	keep  bool // the present field is wanted
	last  byte // last octet given out
	done  bool
}

// Read implements io.Reader.
func (f *fieldFilter) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.done {
			return 0, io.EOF
		}
		if err := f.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.last = f.rest[n-1]
	f.rest = f.rest[n:]
	return n, nil
}

func (f *fieldFilter) advance() error {
	pc, ok := f.lines.next()
	switch {
	case !ok && f.lines.err != nil:
		return f.lines.err
	case !ok:
		f.done = true
		if f.last != '\n' && f.last != 0 {
			f.rest = []byte("\r\n") // the header ended inside a line
		}
		return nil
	case pc.isBlank():
		f.done = true
		f.rest = pc.text
		return nil
	case pc.start && pc.text[0] != ' ' && pc.text[0] != '\t':
		name, _ := cutField(pc.text)
		f.keep = f.isNamed(string(name)) != f.not
	}
	if f.keep {
		f.rest = pc.text
	}
	return nil
}

func (f *fieldFilter) isNamed(name string) bool {
	for _, n := range f.names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// AfterBlankLine is the offset of the body of c behind a header whose fields end
// at off: one line end further, if there is one. The error is one of reading.
func AfterBlankLine(c Content, off int64) (int64, error) {
	var b [2]byte
	n, err := c.ReadAt(b[:min(2, max(c.Size()-off, 0))], off)
	if err != nil && err != io.EOF {
		return off, err
	}
	switch {
	case n > 0 && b[0] == '\n':
		return off + 1, nil
	case n > 1 && b[0] == '\r' && b[1] == '\n':
		return off + 2, nil
	}
	return off, nil
}
