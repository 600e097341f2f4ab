package imap

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"

	"gomaild/message"
)

// errEncoding: RFC 3516 section 4.3.
var errEncoding = no("UNKNOWN-CTE", "Part is in an unknown encoding")

// errBinary: RFC 3516 section 4.4. A Maildir keeps lines, so octets that are
// none cannot be kept as they are.
var errBinary = no("UNKNOWN-CTE", "Mailbox keeps no binary content; encode it")

// parseBinary reads the section of BINARY, BINARY.PEEK and BINARY.SIZE (RFC
// 3516 section 4): a part, and a partial but for the size.
func parseBinary(g *grammar, partial bool) section {
	sec := section{length: math.MaxInt64}
	g.Expect('[')
	for g.Peek() != ']' && g.Err() == nil {
		n := g.Number32()
		if n == 0 {
			g.Fail("parts are counted from 1")
		}
		sec.path = append(sec.path, n)
		if len(sec.path) > maxPath {
			g.Fail("section is too deep")
		}
		if g.Peek() != ']' {
			g.Expect('.')
		}
	}
	if g.Peek() == ']' && len(sec.path) == 0 || partial {
		sec.finish(g)
		return sec
	}
	g.Expect(']')
	return sec
}

// decoded is a part without its Content-Transfer-Encoding. The whole message
// has none. ok is false for a part that does not exist.
func (m *fetched) decoded(path []uint32) (open func() io.Reader, ok bool, err error) {
	span := message.Span{Len: m.content.Size()}
	if len(path) == 0 {
		return func() io.Reader { return message.NewWireReader(m.content, span) }, true, nil
	}
	part, ok := lookUp(m.root, path)
	if !ok {
		return nil, false, nil
	}
	switch strings.ToLower(part.Encoding) {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
	default:
		return nil, false, errEncoding
	}
	return func() io.Reader {
		r := message.NewWireReader(m.content, part.Body)
		if part.IsMultipart() || part.IsMessage() {
			return r // RFC 2045 section 6.4: never encoded
		}
		return message.DecodeBody(r, part.Encoding)
	}, true, nil
}

// measure reads through a decoded part for its size and whether NUL is in it.
func measure(r io.Reader) (size int64, hasNUL bool, err error) {
	buf := make([]byte, textBuffer)
	for {
		n, err := r.Read(buf)
		size += int64(n)
		hasNUL = hasNUL || bytes.IndexByte(buf[:n], 0) >= 0
		if errors.Is(err, io.EOF) {
			return size, hasNUL, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// printBinary prints BINARY[...]: what it prints is decoded twice, as the size
// comes first.
func (s *session) printBinary(sec *section, m *fetched) error {
	open, ok, err := m.decoded(sec.path)
	if err != nil {
		return err
	}
	s.enc.Raw("BINARY")
	s.printSection(sec)
	if !ok {
		s.enc.Raw(" NIL")
		return nil
	}
	size, hasNUL, err := measure(open())
	if err != nil {
		return err
	}
	r := open()
	skip := min(sec.offset, size)
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return err
	}
	s.enc.Byte(' ')
	if hasNUL {
		s.enc.Byte('~')
	}
	s.enc.Literal8(min(size-skip, sec.length), r)
	return nil
}

// printBinarySize prints BINARY.SIZE[...]; a part that does not exist has no
// octets.
func (s *session) printBinarySize(sec *section, m *fetched) error {
	open, ok, err := m.decoded(sec.path)
	if err != nil {
		return err
	}
	var size int64
	if ok {
		if size, _, err = measure(open()); err != nil {
			return err
		}
	}
	s.enc.Raw("BINARY.SIZE")
	s.printSection(sec)
	s.enc.Byte(' ')
	s.enc.Number(uint64(size))
	return nil
}

// lineReader fails with errBinary where r is not lines of text: at NUL, and at
// CR and LF without each other.
type lineReader struct {
	r    io.Reader
	last byte
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for _, c := range p[:n] {
		if c == 0 || (c == '\n') != (l.last == '\r') {
			return 0, errBinary
		}
		l.last = c
	}
	if errors.Is(err, io.EOF) && l.last == '\r' {
		return 0, errBinary
	}
	return n, err
}
