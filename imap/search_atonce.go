package imap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"gomaild/message"
	"gomaild/storage"
)

// Most messages are small, and most of their text is ASCII. Such are read with
// one call and searched in buffers that serve for all messages; whatever else
// comes along is left to the readers of search_text.go, which know everything.

// searchAtOnce is the longest message that is read at once, in stored octets.
const searchAtOnce = 256 << 10

// open takes a message.
func (t *textSearch) open(content storage.Content) error {
	t.content, t.whole = content, t.whole[:0]
	size := content.Size()
	if !t.atOnce || size > searchAtOnce {
		t.whole = nil
		return nil
	}
	if int64(cap(t.whole)) < size {
		t.whole = make([]byte, max(size, 16<<10))
	}
	n, err := content.ReadAt(t.whole[:size], 0)
	if t.whole = t.whole[:n]; errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// octets are those of a span, nil if they are not there.
func (t *textSearch) octets(s message.Span) []byte {
	if s.Off < 0 || s.Len < 0 || s.Off+s.Len > int64(len(t.whole)) {
		return nil
	}
	return t.whole[s.Off : s.Off+s.Len]
}

// inBody searches the body of a part; known is false if it cannot tell.
func (t *textSearch) inBody(p *message.Part) (found, known bool) {
	body := t.octets(p.Body)
	if body == nil {
		return false, false
	}
	t.decoded, known = message.AppendDecodedBody(t.decoded[:0], body, p.Encoding)
	if !known {
		return false, false
	}
	ascii := false
	if t.folded, ascii = appendFoldedASCII(t.folded[:0], t.decoded); !ascii {
		if !isUTF8Charset(charsetOf(p)) {
			return false, false
		}
		t.folded, _ = appendFolded(t.folded[:0], t.decoded, true)
	} else if !hasASCII(charsetOf(p)) {
		return false, false
	}
	return bytes.Contains(t.folded, t.bytes), true
}

// appendFoldedASCII folds text that is ASCII; false if it is not.
func appendFoldedASCII(dst, text []byte) ([]byte, bool) {
	at := len(dst)
	dst = append(dst, text...)
	var all byte
	for i, c := range dst[at:] {
		all |= c
		if c-'a' <= 'z'-'a' {
			dst[at+i] = c - ('a' - 'A')
		}
	}
	return dst, all < utf8.RuneSelf
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

// inHeader searches a header, field by field as "Name: value" on one line; known
// is false if it cannot tell.
func (t *textSearch) inHeader(p *message.Part) (found, known bool) {
	header := t.octets(p.Header)
	if header == nil || bytes.Contains(header, []byte("=?")) {
		return false, false
	}
	folded, ascii := appendFoldedASCII(t.folded[:0], header)
	if t.folded = folded; !ascii {
		return false, false
	}
	for len(folded) > 0 {
		end := fieldEnd(folded)
		field := folded[:end]
		folded = folded[end:]
		switch {
		case len(bytes.TrimLeft(field, "\r")) == 1 && len(field) <= 2 && field[len(field)-1] == '\n':
			return false, true // the empty line
		case t.inField(field):
			return true, true
		}
	}
	return false, true
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

// inField searches a field, unfolded.
func (t *textSearch) inField(field []byte) bool {
	first := bytes.IndexByte(field, '\n') + 1
	if first == 0 {
		first = len(field)
	}
	name, value := field[:first], field[first:]
	if colon := bytes.IndexByte(name, ':'); colon >= 0 {
		name, value = field[:colon], field[colon+1:]
	}
	line := append(t.decoded[:0], bytes.TrimRight(name, " \t\r\n")...)
	line = append(line, ": "...)
	value = bytes.Trim(value, " \t\r\n")
	for len(value) > 0 {
		part, rest, more := bytes.Cut(value, []byte("\n"))
		if more {
			part = bytes.TrimSuffix(part, []byte("\r"))
		}
		line, value = append(line, part...), rest
	}
	t.decoded = line
	return bytes.Contains(line, t.bytes)
}
