package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The preview of RFC 8970 section 3: at most maxPreview characters, found in the
// first octets of a text as it is stored. Most often few are enough.
const (
	maxPreview  = 200
	firstPlain  = 1 << 10
	firstMarkup = 4 << 10
	mostSource  = 16 << 10
)

// previewBuffer is for what is read of a text, and what is decoded of it.
type previewBuffer struct{ raw, text []byte }

var previewBuffers = sync.Pool{New: func() any { return &previewBuffer{raw: make([]byte, mostSource)} }}

// Preview is the beginning of what a person would read, on one line: of the first
// text that is no attachment, without the lines of the message that it answers. It is
// "" where there is none. The only errors are those of reading c.
func Preview(c Content, root *Part) (string, error) {
	part := firstText(root)
	if part == nil || part.Body.Len == 0 {
		return "", nil
	}
	b := previewBuffers.Get().(*previewBuffer)
	defer previewBuffers.Put(b)
	isHTML := strings.EqualFold(part.Subtype, "html")
	size := int64(firstPlain)
	if isHTML {
		size = firstMarkup
	}
	for {
		raw := b.raw[:min(size, part.Body.Len)]
		n, err := c.ReadAt(raw, part.Body.Off)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		raw = raw[:n]
		whole := int64(n) >= part.Body.Len
		// At the end of a line nothing is cut in two.
		if end := bytes.LastIndexByte(raw, '\n'); !whole && end >= 0 {
			raw = raw[:end+1]
		} else if !whole && size < mostSource {
			size = mostSource
			continue
		}
		b.decode(part, raw)
		line, full := "", false
		if isHTML {
			line, full = shorten([]byte(HTMLText(string(b.text))), false)
		} else {
			line, full = shorten(b.text, true)
		}
		if whole || full || size >= mostSource {
			return line, nil
		}
		size = mostSource
	}
}

// decode makes raw, the beginning of a body, text in UTF-8.
func (b *previewBuffer) decode(part *Part, raw []byte) {
	var known bool
	if b.text, known = AppendDecodedBody(b.text[:0], raw, strings.TrimSpace(part.Encoding)); !known {
		b.text = readAllInto(b.text[:0], DecodeBody(bytes.NewReader(raw), part.Encoding))
	}
	charset := ""
	for _, p := range part.Params {
		if strings.EqualFold(p.Name, "charset") {
			charset = p.Value
			break
		}
	}
	switch {
	case charset == "", strings.EqualFold(charset, "utf-8"), strings.EqualFold(charset, "us-ascii"):
		return // other octets become U+FFFD in shorten
	}
	if r, known := CharsetReader(charset, bytes.NewReader(b.text)); known {
		b.text = readAllInto(nil, r)
	}
}

// readAllInto reads from a source that is in memory.
func readAllInto(dst []byte, r io.Reader) []byte {
	text := bytes.NewBuffer(dst)
	_, _ = text.ReadFrom(r)
	return text.Bytes()
}

// firstText is the first part with text that is no attachment, of alternatives
// the plain one. The depth is limited by the parser.
func firstText(p *Part) *Part {
	if strings.EqualFold(p.Disposition, "attachment") {
		return nil
	}
	if strings.EqualFold(p.Type, "text") && (strings.EqualFold(p.Subtype, "plain") || strings.EqualFold(p.Subtype, "html")) {
		return p
	}
	var found *Part
	for i := range p.Parts {
		text := firstText(&p.Parts[i])
		switch {
		case text == nil:
		case !strings.EqualFold(p.Subtype, "alternative"), strings.EqualFold(text.Subtype, "plain"):
			return text
		case found == nil:
			found = text
		}
	}
	return found
}

// shorten is the first words of a text on one line, without those of lines that
// begin with ">" where they are quotes. It is full when more would not show.
func shorten(text []byte, quotes bool) (line string, full bool) {
	var short [maxPreview * utf8.UTFMax]byte
	out, count, blank := short[:0], 0, false
	for start := true; len(text) > 0; {
		if start && quotes && text[0] == '>' {
			if end := bytes.IndexByte(text, '\n'); end >= 0 {
				text = text[end+1:]
				continue
			}
			break
		}
		r, size := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text)
		}
		text = text[size:]
		start = r == '\n'
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			blank = count > 0
			continue
		}
		if blank && count < maxPreview-1 {
			out = append(out, ' ')
			count++
		} else if blank {
			return string(out), true
		}
		blank = false
		if count == maxPreview {
			return string(out), true
		}
		out = utf8.AppendRune(out, r)
		count++
	}
	return string(out), count == maxPreview
}
