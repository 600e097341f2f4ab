package message

import (
	"slices"
	"strconv"
	"strings"
)

// maxQuoted is the longest string sent quoted; longer ones become literals.
const maxQuoted = 1000

// Append adds the ENVELOPE parenthesised list of RFC 3501 section 7.4.2 to dst.
// Strings that cannot be quoted become literals, so the result may hold line
// ends and 8-bit octets.
func (e *Envelope) Append(dst []byte) []byte {
	dst = append(dst, '(')
	dst = appendNString(dst, e.Date)
	dst = append(dst, ' ')
	dst = appendNString(dst, oneBlank(e.Subject))
	for _, list := range [][]Mailbox{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		dst = append(dst, ' ')
		dst = appendMailboxes(dst, list)
	}
	dst = append(dst, ' ')
	dst = appendNString(dst, e.InReplyTo)
	dst = append(dst, ' ')
	dst = appendNString(dst, e.MessageID)
	return append(dst, ')')
}

// appendMailboxes writes a list of address structures. A NIL host would mean a
// group, so an address without a domain gets a word that cannot be one, and
// likewise for the local part.
func appendMailboxes(dst []byte, list []Mailbox) []byte {
	if len(list) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for _, m := range list {
		if !m.GroupStart && !m.GroupEnd {
			m.Local = orElse(m.Local, "MISSING_MAILBOX")
			m.Domain = orElse(m.Domain, "MISSING_DOMAIN")
		}
		dst = append(dst, '(')
		dst = appendNString(dst, oneBlank(m.Name))
		for _, s := range []string{m.Route, m.Local, m.Domain} {
			dst = append(dst, ' ')
			dst = appendNString(dst, s)
		}
		dst = append(dst, ')')
	}
	return append(dst, ')')
}

// oneBlank makes one blank of each run of blanks: text for people, which often
// was folded.
func oneBlank(s string) string { return strings.Join(strings.FieldsFunc(s, isBlank), " ") }

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

func hasParam(params []Param, name string) bool {
	return slices.ContainsFunc(params, func(v Param) bool { return strings.EqualFold(v.Name, name) })
}

func orElse(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// emptyPart stands for the parts of a multipart that has none: the grammar
// wants at least one, and clients rely on it.
var emptyPart = Part{Type: "text", Subtype: "plain", Encoding: "7bit"}

// AppendBodyStructure adds BODYSTRUCTURE (extended) or BODY of RFC 3501 section
// 7.4.2 to dst. As with Envelope.Append the result may hold literals.
func (p *Part) AppendBodyStructure(dst []byte, extended bool) []byte {
	w := structureWriter{dst: dst, extended: extended}
	w.part(p)
	return w.dst
}

// structureWriter writes a structure and remembers where extension data lies in
// it, so that BODY can be cut out of BODYSTRUCTURE.
type structureWriter struct {
	dst      []byte
	extended bool
	cuts     []cut
}

// cut is a range of extension data.
type cut struct{ from, to int }

func (w *structureWriter) part(p *Part) {
	w.dst = append(w.dst, '(')
	from := 0
	if p.IsMultipart() {
		from = w.multipart(p)
	} else {
		from = w.single(p)
	}
	if w.extended {
		w.dst = p.appendExtension(w.dst)
		w.cuts = append(w.cuts, cut{from, len(w.dst)})
	}
	w.dst = append(w.dst, ')')
}

// multipart returns where the extension data begins.
func (w *structureWriter) multipart(p *Part) int {
	for i := range p.Parts {
		w.part(&p.Parts[i])
	}
	if len(p.Parts) == 0 {
		w.part(&emptyPart)
	}
	w.dst = append(w.dst, ' ')
	w.dst = appendString(w.dst, p.Subtype)
	from := len(w.dst)
	if w.extended {
		w.dst = append(w.dst, ' ')
		w.dst = appendParams(w.dst, p.Params)
	}
	return from
}

// single returns where the extension data begins.
func (w *structureWriter) single(p *Part) int {
	params := p.Params
	isText := strings.EqualFold(p.Type, "text")
	if isText && !hasParam(params, "charset") {
		// RFC 2045 section 5.2: the default, said aloud as Dovecot does.
		params = append(params[:len(params):len(params)], Param{"charset", "us-ascii"})
	}
	w.dst = appendString(w.dst, p.Type)
	w.dst = append(w.dst, ' ')
	w.dst = appendString(w.dst, p.Subtype)
	w.dst = append(w.dst, ' ')
	w.dst = appendParams(w.dst, params)
	for _, s := range []string{p.ID, p.Description} {
		w.dst = append(w.dst, ' ')
		w.dst = appendNString(w.dst, s)
	}
	w.dst = append(w.dst, ' ')
	w.dst = appendString(w.dst, p.Encoding)
	w.dst = append(w.dst, ' ')
	w.dst = strconv.AppendInt(w.dst, p.BodyWireSize, 10)
	switch {
	case isText:
		w.dst = append(w.dst, ' ')
		w.dst = strconv.AppendInt(w.dst, p.BodyLines, 10)
	case p.IsMessage():
		w.inner(p)
	}
	from := len(w.dst)
	if w.extended {
		w.dst = append(w.dst, ' ')
		w.dst = appendNString(w.dst, p.MD5)
	}
	return from
}

// inner writes what a message/rfc822 has more: the envelope, structure
// and lines of the message in it. Beyond the depth limit that message was not
// taken apart and is shown as empty text.
func (w *structureWriter) inner(p *Part) {
	inner := &emptyPart
	if len(p.Parts) > 0 {
		inner = &p.Parts[0]
	}
	envelope := inner.Envelope
	if envelope == nil {
		envelope = &Envelope{}
	}
	w.dst = append(w.dst, ' ')
	w.dst = envelope.Append(w.dst)
	w.dst = append(w.dst, ' ')
	w.part(inner)
	w.dst = append(w.dst, ' ')
	w.dst = strconv.AppendInt(w.dst, p.BodyLines, 10)
}

func (p *Part) appendExtension(dst []byte) []byte {
	dst = append(dst, ' ')
	if p.Disposition == "" {
		dst = append(dst, "NIL"...)
	} else {
		dst = append(dst, '(')
		dst = appendString(dst, p.Disposition)
		dst = append(dst, ' ')
		dst = appendParams(dst, p.DispositionParams)
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	dst = appendLanguages(dst, p.Language)
	dst = append(dst, ' ')
	return appendNString(dst, p.Location)
}

func appendLanguages(dst []byte, tags []string) []byte {
	if len(tags) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, tag := range tags {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendString(dst, tag)
	}
	return append(dst, ')')
}

func appendParams(dst []byte, params []Param) []byte {
	params = joined(params)
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, v := range params {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendString(dst, v.Name)
		dst = append(dst, ' ')
		dst = appendString(dst, v.Value)
	}
	return append(dst, ')')
}

func appendNString(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s)
}

// appendString writes an IMAP string: quoted where the grammar allows it, else
// a literal. NUL can be in neither and becomes 0x80, as Dovecot writes it.
func appendString(dst []byte, s string) []byte {
	if !quotable(s) {
		dst = append(dst, '{')
		dst = strconv.AppendInt(dst, int64(len(s)), 10)
		dst = append(dst, '}', '\r', '\n')
		return append(dst, strings.ReplaceAll(s, "\x00", "\x80")...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func quotable(s string) bool {
	if len(s) > maxQuoted {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x80 {
			return false
		}
	}
	return true
}
