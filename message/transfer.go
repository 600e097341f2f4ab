package message

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// DecodeBody undoes a Content-Transfer-Encoding (RFC 2045 section 6) without
// ever failing on its text: octets that do not belong into base64 are passed
// over, a broken quoted-printable escape stays as it stands. Other encodings
// than these two, known or not, leave r as it is. Errors are r's own.
func DecodeBody(r io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return &base64Reader{src: bufio.NewReader(r)}
	case "quoted-printable":
		return &qpReader{src: bufio.NewReaderSize(r, 4096)}
	}
	return r
}

// IsIdentity reports an encoding that leaves a body as it is and that people use.
func IsIdentity(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}

// AppendDecodedBody adds to dst what DecodeBody gives of body, all at once. Lines
// may be longer than DecodeBody's. The second result is false for an encoding
// that it leaves to DecodeBody.
func AppendDecodedBody(dst, body []byte, encoding string) ([]byte, bool) {
	switch {
	case IsIdentity(encoding):
		return append(dst, body...), true
	case strings.EqualFold(encoding, "quoted-printable"):
		return appendQPLines(dst, body), true
	case strings.EqualFold(encoding, "base64"):
		decoded, err := base64.StdEncoding.AppendDecode(dst, body) // passes over line ends, and over nothing else
		return decoded, err == nil
	}
	return dst, false
}

func appendQPLines(dst, body []byte) []byte {
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n') + 1
		if end == 0 {
			end = len(body)
		}
		line := body[:end]
		body = body[end:]
		eol := line[len(line)-eolLen(line):]
		text := trimBlanks(line[:len(line)-len(eol)])
		if len(text) > 0 && text[len(text)-1] == '=' { // a soft line break
			dst = appendQP(dst, text[:len(text)-1])
			continue
		}
		dst = append(appendQP(dst, text), eol...)
	}
	return dst
}

// appendQP adds b with its escapes decoded.
func appendQP(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '=')
		if i < 0 || i+2 >= len(b) {
			return append(dst, b...)
		}
		hi, ok1 := hexDigit(b[i+1])
		lo, ok2 := hexDigit(b[i+2])
		if !ok1 || !ok2 {
			dst, b = append(dst, b[:i+1]...), b[i+1:]
			continue
		}
		dst, b = append(append(dst, b[:i]...), hi<<4|lo), b[i+3:]
	}
}

// base64Reader decodes groups of four characters of the alphabet, whatever
// stands between them. A padding character ends a group, not the text: some
// programs join encoded pieces.
type base64Reader struct {
	src  *bufio.Reader
	out  [3072]byte
	rest []byte
	err  error
}

// Read implements io.Reader.
func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.fill()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// fill decodes up to 1024 groups.
func (b *base64Reader) fill() {
	var group [4]byte
	n, have := 0, 0
	for n <= len(b.out)-3 {
		c, err := b.src.ReadByte()
		if err != nil {
			b.err = err
			n += decodeGroup(b.out[n:], group[:have])
			break
		}
		switch {
		case isBase64(c):
			group[have] = c
			have++
		case c == '=':
			n += decodeGroup(b.out[n:], group[:have])
			have = 0
		}
		if have == len(group) {
			n += decodeGroup(b.out[n:], group[:])
			have = 0
		}
		if have == 0 && n > len(b.out)-6 {
			break
		}
	}
	b.rest = b.out[:n]
}

// decodeGroup decodes two to four characters that are all in the alphabet; a
// single one carries no octet.
func decodeGroup(dst, group []byte) int {
	if len(group) < 2 {
		return 0
	}
	n, err := base64.RawStdEncoding.Decode(dst, group)
	if err != nil {
		return 0
	}
	return n
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || isDigit(c) || c == '+' || c == '/'
}

// qpReader decodes quoted-printable (RFC 2045 section 6.7) line by line.
type qpReader struct {
	src  *bufio.Reader
	rest []byte
	err  error
}

// Read implements io.Reader.
func (q *qpReader) Read(p []byte) (int, error) {
	for len(q.rest) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		q.fill()
	}
	n := copy(p, q.rest)
	q.rest = q.rest[n:]
	return n, nil
}

// fill decodes the next line, or a buffer full of a longer one, in place.
func (q *qpReader) fill() {
	line, err := q.src.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		// Cut inside an escape, its characters stay as text: such a line is
		// broken anyhow, 76 characters are allowed.
		q.rest = decodeQP(line)
		return
	}
	q.err = err
	eol := line[len(line)-eolLen(line):]
	text := trimBlanks(line[:len(line)-len(eol)])
	if len(text) > 0 && text[len(text)-1] == '=' { // a soft line break
		q.rest = decodeQP(text[:len(text)-1])
		return
	}
	q.rest = append(decodeQP(text), eol...)
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// decodeQP decodes the escapes of b in place.
func decodeQP(b []byte) []byte { return appendQP(b[:0], b) }
