package imap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"gomaild/message"
)

// textBuffer is what is read of a body at a time while it is searched.
const textBuffer = 16 << 10

// fold prepares text for comparison as i;unicode-casemap wants it (RFC 5051
// section 2.3), the comparator of I18NLEVEL=1 (RFC 5255 section 4.3): each
// character becomes its titlecase and is then taken apart.
func fold(s string) string {
	folded, _ := appendFolded(make([]byte, 0, len(s)), []byte(s), true)
	return string(folded)
}

// appendFold folds one character.
func appendFold(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return append(dst, byte(r))
	}
	at := len(dst)
	dst = utf8.AppendRune(dst, unicode.ToTitle(r))
	if apart := norm.NFKD.Properties(dst[at:]).Decomposition(); apart != nil {
		dst = append(dst[:at], apart...)
	}
	return dst
}

// toUTF8 decodes text in a charset; false if nobody knows it.
func toUTF8(charset, text string) (string, bool) {
	r, ok := message.CharsetReader(charset, strings.NewReader(text))
	if !ok {
		return text, false
	}
	decoded, err := io.ReadAll(r) // no longer than a command may be
	return string(decoded), err == nil
}

// contains reports whether the text of r, folded, contains needle, which is
// folded. It holds a buffer and the length of needle.
func contains(r io.Reader, needle string) (bool, error) {
	raw := make([]byte, 0, textBuffer)
	var window []byte // folded text in which needle is looked for
	for {
		n, err := r.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return false, err
		}
		used := 0
		window, used = appendFolded(window, raw, ended)
		if bytes.Contains(window, []byte(needle)) {
			return true, nil
		}
		if ended {
			return false, nil
		}
		raw = raw[:copy(raw, raw[used:])]
		window = window[:copy(window, window[max(0, len(window)-len(needle)):])]
	}
}

// appendFolded folds the whole characters of raw; at the end of the text the
// last one need not be whole.
func appendFolded(dst, raw []byte, ended bool) (_ []byte, used int) {
	for used < len(raw) {
		if c := raw[used]; c < utf8.RuneSelf {
			dst = appendFold(dst, rune(c))
			used++
			continue
		}
		if !ended && !utf8.FullRune(raw[used:]) {
			break
		}
		r, n := utf8.DecodeRune(raw[used:])
		dst = appendFold(dst, r)
		used += n
	}
	return dst, used
}

// headerKey is HEADER and its short forms: a field whose decoded value
// contains text. Without text the field must exist.
func headerKey(name, text string) searchKey {
	kept := message.Kept(name)
	return searchKey{costHeader, func(ctx context.Context, c *candidate) (found bool, err error) {
		if kept != 0 {
			digest, err := c.kept(ctx)
			if err != nil {
				return false, err
			}
			if digest.HasFields() {
				digest.EachField(kept, func(value string) bool {
					found = strings.Contains(fold(message.DecodeHeader(value)), text)
					return !found
				})
				return found, nil
			}
		}
		content, err := c.content(ctx)
		if err != nil {
			return false, err
		}
		for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
			if err != nil {
				return false, err
			}
			if f.Is(name) && strings.Contains(fold(message.DecodeHeader(f.Text())), text) {
				return true, nil
			}
		}
		return false, nil
	}}
}

// sentDate is the day of the Date field, zero without one.
func (c *candidate) sentDate(ctx context.Context) (time.Time, error) {
	if c.read {
		return c.digest.Sent(), nil
	}
	t, _, err := c.known.Sent(ctx, c.msg.UID)
	return t, err
}

// textKey is BODY, and with header TEXT: decoded text of the message contains
// text. Attachments that are no text are not searched.
func textKey(text string, header bool) searchKey {
	t := newTextSearch(text, header)
	return searchKey{costBody, t.match}
}

// textSearch looks for text in one message after the other.
type textSearch struct {
	needle  string
	find    *finder
	header  bool // in that of the message, too
	atOnce  bool
	content message.Content
	whole   []byte       // the message, if it is small; else nil
	reader  bytes.Reader // of whole
	decoded []byte       // a buffer
	found   bool
	err     error
}

func newTextSearch(needle string, header bool) *textSearch {
	return &textSearch{
		needle: needle,
		find:   newFinder(needle),
		header: header,
		atOnce: !strings.ContainsAny(needle, "\r\n"), // which text that is read as it is stored has otherwise
	}
}

func (t *textSearch) match(ctx context.Context, c *candidate) (bool, error) {
	digest, err := c.kept(ctx)
	if err != nil {
		return false, err
	}
	if t.atOnce {
		whole, err := c.text(ctx)
		if err != nil {
			return false, err
		}
		if whole != nil {
			return t.inWhole(whole, digest)
		}
	}
	root, err := c.structure(ctx)
	if err != nil {
		return false, err
	}
	t.content, t.whole = c.opened, nil
	return t.parts(root, 0)
}

// inWhole searches a message of which all octets are there.
func (t *textSearch) inWhole(whole []byte, digest *message.Digest) (bool, error) {
	t.reader.Reset(whole)
	t.content, t.whole = &t.reader, whole
	t.found, t.err = false, nil
	if err := digest.EachPart(t.visit); err != nil {
		return false, err
	}
	return t.found, t.err
}

func (t *textSearch) visit(p *message.Part, depth, inner int) bool {
	t.found, t.err = t.part(p, depth, inner)
	return !t.found && t.err == nil
}

// parts searches a part and those in it. The depth is limited by the parser.
func (t *textSearch) parts(p *message.Part, depth int) (bool, error) {
	ok, err := t.part(p, depth, len(p.Parts))
	for i := 0; i < len(p.Parts) && !ok && err == nil; i++ {
		ok, err = t.parts(&p.Parts[i], depth+1)
	}
	return ok, err
}

// part searches a part that has so many inner ones without them.
func (t *textSearch) part(p *message.Part, depth, inner int) (bool, error) {
	if t.header || depth > 0 {
		if ok, err := t.inHeader(p); ok || err != nil {
			return ok, err
		}
	}
	if inner > 0 || !strings.EqualFold(p.Type, "text") && !p.IsMessage() {
		return false, nil
	}
	if found, known := t.inBodyAtOnce(p); known {
		return found, nil
	}
	body := message.DecodeBody(message.NewWireReader(t.content, p.Body), p.Encoding)
	body, _ = message.CharsetReader(charsetOf(p), body) // unknown: as it stands
	return contains(body, t.needle)
}

func (t *textSearch) inHeader(p *message.Part) (bool, error) {
	if found, known := t.inHeaderAtOnce(p); known {
		return found, nil
	}
	for f, err := range message.Fields(t.content, p.Header) {
		if err != nil {
			return false, err
		}
		line := f.Name + ": " + message.DecodeHeader(f.Text())
		if strings.Contains(fold(line), t.needle) {
			return true, nil
		}
	}
	return false, nil
}

func charsetOf(p *message.Part) string {
	for _, param := range p.Params {
		if strings.EqualFold(param.Name, "charset") {
			return param.Value
		}
	}
	return ""
}
