package imap

import (
	"bytes"
	"strings"

	"gomaild/message"
)

// Most messages are small, and most of their text is ASCII. Such are read with
// one call and searched where they stand, in a buffer that serves for all
// messages; whatever else comes along is left to the readers of search_text.go,
// which know everything.

// searchAtOnce is the longest message that is read at once, in stored octets.
const searchAtOnce = 256 << 10

// octets are those of a span, nil if they are not there.
func (t *textSearch) octets(s message.Span) []byte {
	if s.Off < 0 || s.Len < 0 || s.Off+s.Len > int64(len(t.whole)) {
		return nil
	}
	return t.whole[s.Off : s.Off+s.Len]
}

// inBodyAtOnce searches the body of a part; known is false if it cannot tell.
func (t *textSearch) inBodyAtOnce(p *message.Part) (found, known bool) {
	body := t.octets(p.Body)
	if body == nil {
		return false, false
	}
	text, known := t.decode(body, p.Encoding)
	if !known {
		return false, false
	}
	charset := charsetOf(p)
	switch {
	case isUTF8Charset(charset):
		return t.find.in(text), true
	case !hasASCII(charset):
		return false, false
	case t.find.inASCII(text):
		return true, true
	}
	return false, others(text) < 0
}

// decode undoes an encoding; false for one that is left to message.DecodeBody.
func (t *textSearch) decode(body []byte, encoding string) ([]byte, bool) {
	if message.IsIdentity(encoding) {
		return body, true
	}
	if strings.EqualFold(encoding, "quoted-printable") && bytes.IndexByte(body, '=') < 0 && !strings.HasSuffix(t.needle, " ") && !strings.HasSuffix(t.needle, "\t") {
		return body, true // but for blanks before line ends, which the needle cannot reach
	}
	var known bool
	t.decoded, known = message.AppendDecodedBody(t.decoded[:0], body, encoding)
	return t.decoded, known
}

func isUTF8Charset(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8") || strings.EqualFold(charset, "us-ascii")
}

// hasASCII reports a charset in which the octets of ASCII mean what they do there.
func hasASCII(charset string) bool {
	for _, prefix := range []string{"iso-8859-", "windows-125", "koi8-"} {
		if len(charset) > len(prefix) && strings.EqualFold(charset[:len(prefix)], prefix) {
			return true
		}
	}
	return isUTF8Charset(charset)
}

// inHeaderAtOnce searches a header, each field as "Name: value" on one line;
// known is false if it cannot tell.
func (t *textSearch) inHeaderAtOnce(p *message.Part) (found, known bool) {
	header := t.octets(p.Header)
	if header == nil {
		return false, false
	}
	special := needsDecoding(header)
	lines := t.decoded[:0]
	for len(header) > 0 {
		field := header[:fieldEnd(header)]
		header = header[len(field):]
		if len(bytes.TrimLeft(field, "\r")) == 1 && len(field) <= 2 && field[len(field)-1] == '\n' {
			break // the empty line
		}
		from := len(lines)
		lines = appendFieldName(lines, field)
		if special && len(lines)-from > maxNameAtOnce {
			return false, false
		}
		from = len(lines)
		lines = appendFieldValue(lines, field)
		if special && needsDecoding(lines[from:]) {
			lines = append(lines[:from], message.DecodeHeader(string(lines[from:]))...)
		}
		lines = append(lines, '\n') // which is not in the needle
	}
	t.decoded = lines
	return t.find.in(lines), true
}

// maxNameAtOnce is below the length to which message.Fields keeps a name.
const maxNameAtOnce = 900

// needsDecoding reports whether message.DecodeHeader could make something else of
// it.
func needsDecoding(header []byte) bool {
	return bytes.Contains(header, []byte("=?")) || others(header) >= 0
}

// fieldEnd is where the first field of a header ends.
func fieldEnd(header []byte) int {
	for end := 0; ; {
		i := bytes.IndexByte(header[end:], '\n')
		if i < 0 {
			return len(header)
		}
		if end += i + 1; end == len(header) || header[end] != ' ' && header[end] != '\t' {
			return end
		}
	}
}

// cutField takes a field apart; without a colon on its first line that is the
// name.
func cutField(field []byte) (name, value []byte) {
	first := bytes.IndexByte(field, '\n') + 1
	if first == 0 {
		first = len(field)
	}
	if colon := bytes.IndexByte(field[:first], ':'); colon >= 0 {
		return field[:colon], field[colon+1:]
	}
	return field[:first], field[first:]
}

func appendFieldName(dst, field []byte) []byte {
	name, _ := cutField(field)
	return append(append(dst, bytes.TrimRight(name, " \t\r\n")...), ": "...)
}

// appendFieldValue adds the value on one line.
func appendFieldValue(dst, field []byte) []byte {
	_, value := cutField(field)
	value = bytes.Trim(value, " \t\r\n")
	for len(value) > 0 {
		part, rest, more := bytes.Cut(value, []byte{'\n'})
		if more {
			part = bytes.TrimSuffix(part, []byte{'\r'})
		}
		dst, value = append(dst, part...), rest
	}
	return dst
}
