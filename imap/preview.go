package imap

import (
	"errors"
	"io"
	"strings"
	"unicode"

	"gomaild/message"
)

// The preview of RFC 8970 section 3: at most maxPreview characters, found in
// the first previewSource octets of decoded text.
const (
	maxPreview    = 200
	previewSource = 16 << 10
)

// preview is PREVIEW: the beginning of what a person would read.
func (m *fetched) preview() (string, error) {
	part := firstText(m.root)
	if part == nil {
		return "", nil
	}
	r := message.DecodeBody(message.NewWireReader(m.content, part.Body), part.Encoding)
	r, _ = message.CharsetReader(charsetOf(part), r)
	text := make([]byte, previewSource)
	n, err := io.ReadFull(r, text)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	plain := strings.ToValidUTF8(string(text[:n]), "")
	if strings.EqualFold(part.Subtype, "html") {
		plain = message.HTMLText(plain)
	} else {
		plain = withoutQuotes(plain)
	}
	return shorten(plain), nil
}

// firstText is the first part with text that is no attachment, of alternatives
// the plain one. The depth is limited by the parser.
func firstText(p *message.Part) *message.Part {
	if strings.EqualFold(p.Disposition, "attachment") {
		return nil
	}
	if strings.EqualFold(p.Type, "text") && (strings.EqualFold(p.Subtype, "plain") || strings.EqualFold(p.Subtype, "html")) {
		return p
	}
	var found *message.Part
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

// withoutQuotes takes out the lines of the message that this one answers.
func withoutQuotes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, ">") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// shorten is the first words of a text on one line.
func shorten(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	line := []rune(strings.Join(words, " "))
	if len(line) > maxPreview {
		line = line[:maxPreview]
	}
	return strings.TrimSpace(string(line))
}

// printPreview prints PREVIEW. It is made at once, so that LAZY (RFC 8970
// section 4) changes nothing.
func (s *session) printPreview(_ *section, m *fetched) error {
	text, err := m.preview()
	if err != nil {
		return err
	}
	s.enc.Raw("PREVIEW ")
	s.enc.String(text)
	return nil
}

// addPreview reads the modifier of PREVIEW, if there is one.
func (r *fetch) addPreview(g *grammar) {
	g.AcceptFold(" (LAZY)")
	r.items = append(r.items, fetchItem{name: "PREVIEW", section: &section{}, printSection: (*session).printPreview})
	r.needs |= needsContent | needsStructure
}
