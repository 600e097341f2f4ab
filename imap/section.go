package imap

import (
	"bytes"
	"io"
	"math"
	"strings"

	"gomaild/message"
)

// sectionText says what of an entity a section names (RFC 3501 section 6.4.5).
type sectionText int

const (
	wholeBody sectionText = iota // BODY[], BODY[1]
	headerText
	headerFields
	headerFieldsNot
	bodyText
	mimeHeader
)

// maxPath bounds the numbers of a section; the parser goes no deeper.
const maxPath = 128

// section is BODY[...]<...> of FETCH.
type section struct {
	path   []uint32
	text   sectionText
	fields []string
	kept   message.FieldSet // fields, if a digest has them all and the section is the whole of them; else 0

	partial bool
	offset  int64
	length  int64 // math.MaxInt64 without partial
}

// parseSection reads what stands between the brackets, and <o.n> after them.
func parseSection(g *grammar) section {
	sec := section{length: math.MaxInt64}
	g.Expect('[')
	for c := g.Peek(); '1' <= c && c <= '9'; c = g.Peek() {
		sec.path = append(sec.path, g.Number32())
		if len(sec.path) > maxPath {
			g.Fail("section is too deep")
		}
		if !g.Accept('.') {
			sec.finish(g)
			return sec
		}
	}
	if g.Peek() != ']' || len(sec.path) > 0 {
		sec.parseText(g)
	}
	sec.finish(g)
	return sec
}

func (sec *section) parseText(g *grammar) {
	switch word := g.SectionWord(); word {
	case "HEADER":
		sec.text = headerText
	case "HEADER.FIELDS":
		sec.text = headerFields
	case "HEADER.FIELDS.NOT":
		sec.text = headerFieldsNot
	case "TEXT":
		sec.text = bodyText
	case "MIME":
		sec.text = mimeHeader
		if len(sec.path) == 0 {
			g.Fail("MIME needs a part number")
		}
	default:
		g.Fail("unknown section")
	}
	if sec.text == headerFields || sec.text == headerFieldsNot {
		g.SP()
		g.List(func() { sec.fields = append(sec.fields, g.AString()) })
		if len(sec.fields) == 0 {
			g.Fail("header field names expected")
		}
	}
	if sec.text == headerFields && len(sec.path) == 0 {
		sec.findKept()
	}
}

// findKept sets kept.
func (sec *section) findKept() {
	for _, name := range sec.fields {
		if !sec.kept.Add(name) {
			sec.kept = 0
			return
		}
	}
}

// printKept prints a section of header fields that the digest has.
func (s *session) printKept(item fetchItem, m *fetched) {
	sec := item.section
	s.enc.Raw(item.name)
	s.printSection(sec)
	s.enc.Byte(' ')
	m.text = m.digest.AppendFields(m.text[:0], sec.kept)
	text := m.text
	if sec.partial {
		text = text[min(sec.offset, int64(len(text))):]
		text = text[:min(sec.length, int64(len(text)))]
	}
	s.enc.LiteralOctets(text)
}

func (sec *section) finish(g *grammar) {
	g.Expect(']')
	if !g.Accept('<') {
		return
	}
	sec.partial = true
	sec.offset = g.Number()
	g.Expect('.')
	sec.length = g.Number()
	if sec.length == 0 {
		g.Fail("partial of no octets")
	}
	g.Expect('>')
}

// sectionWords name a sectionText in a response.
var sectionWords = [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}

// printSection prints `[1.2.HEADER.FIELDS (A B)]<o>`, as responses repeat it.
func (s *session) printSection(sec *section) {
	s.enc.Byte('[')
	for i, n := range sec.path {
		if i > 0 {
			s.enc.Byte('.')
		}
		s.enc.Number(uint64(n))
	}
	if len(sec.path) > 0 && sec.text != wholeBody {
		s.enc.Byte('.')
	}
	s.enc.Raw(sectionWords[sec.text])
	if len(sec.fields) > 0 {
		s.printFields(sec.fields)
	}
	s.enc.Byte(']')
	if sec.partial {
		s.enc.Byte('<')
		s.enc.Number(uint64(sec.offset))
		s.enc.Byte('>')
	}
}

func (s *session) printFields(names []string) {
	s.enc.Raw(" (")
	for i, name := range names {
		if i > 0 {
			s.enc.Byte(' ')
		}
		s.enc.AString(strings.ToUpper(name))
	}
	s.enc.Byte(')')
}

// needsStructure reports whether the message must be taken apart for it.
func (sec *section) needsStructure() bool { return len(sec.path) > 0 || sec.text != wholeBody }

// wholeAtOnce is the longest message that is read into the response at once.
const wholeAtOnce = 64 << 10

// isWhole reports BODY[] without <>.
func (sec *section) isWhole() bool { return !sec.needsStructure() && !sec.partial }

// printWhole prints a whole message.
func (s *session) printWhole(item fetchItem, m *fetched) {
	s.enc.Raw(item.name)
	if item.name == "BODY" {
		s.printSection(item.section)
	}
	s.enc.Byte(' ')
	span := message.Span{Len: m.content.Size()}
	s.enc.LiteralInto(int(m.facts.WireSize), func(buf []byte) (int, error) { return message.WireInto(buf, m.content, span) })
}

// extract finds the octets of a section and their number. ok is false for a
// part that does not exist.
func (sec *section) extract(m *fetched) (r io.Reader, size int64, ok bool, err error) {
	c := m.content
	span, wireSize := message.Span{Len: c.Size()}, m.facts.WireSize
	if sec.needsStructure() {
		if span, wireSize, ok = sec.find(m.root); !ok {
			return nil, 0, false, nil
		}
	}
	if sec.text == headerFields || sec.text == headerFieldsNot {
		r, size, err = message.HeaderFields(c, span, sec.fields, sec.text == headerFieldsNot)
		if err != nil || !sec.partial {
			return r, size, err == nil, err
		}
		return sec.cut(r, size)
	}
	size = min(max(wireSize-sec.offset, 0), sec.length)
	if size == 0 {
		return bytes.NewReader(nil), 0, true, nil
	}
	return message.Section(c, span, wireSize, sec.offset, size), size, true, nil
}

// cut takes the partial of a header, which is small enough to be read through.
func (sec *section) cut(r io.Reader, size int64) (io.Reader, int64, bool, error) {
	skip := min(sec.offset, size)
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return nil, 0, false, err
	}
	return r, min(size-skip, sec.length), true, nil
}

// find is the span of a section in a message and its size on the wire.
func (sec *section) find(root *message.Part) (message.Span, int64, bool) {
	part, ok := lookUp(root, sec.path)
	if !ok {
		return message.Span{}, 0, false
	}
	if len(sec.path) > 0 && (sec.text == headerText || sec.text == headerFields || sec.text == headerFieldsNot || sec.text == bodyText) {
		// Of a part, these are the header and text of the message it holds.
		if !part.IsMessage() || len(part.Parts) == 0 {
			return message.Span{}, 0, false
		}
		part = &part.Parts[0]
	}
	switch sec.text {
	case wholeBody, bodyText:
		return part.Body, part.BodyWireSize, true
	}
	return part.Header, part.HeaderWireSize, true
}

// lookUp finds a part by its numbers. A message that is no multipart has one
// part, 1, which is its body; so has a message/rfc822 in a part.
func lookUp(part *message.Part, path []uint32) (*message.Part, bool) {
	for i, n := range path {
		if part.IsMessage() && len(part.Parts) > 0 && i > 0 {
			part = &part.Parts[0]
		} else if i > 0 && !part.IsMultipart() {
			return nil, false
		}
		switch {
		case part.IsMultipart() && uint64(n) <= uint64(len(part.Parts)):
			part = &part.Parts[n-1]
		case part.IsMultipart() || n != 1:
			return nil, false
		}
	}
	return part, true
}
