package message

import (
	"bytes"
	"strings"
)

// setter puts the unfolded value of a field into an entity.
type setter func(p *parser, f *frame, value string)

// contentFields are the fields that every entity has (RFC 2045, RFC 2183,
// RFC 1864, RFC 3282, RFC 2557). Of repeated fields the first counts.
var contentFields = map[string]setter{
	"content-type":              (*parser).setType,
	"content-disposition":       (*parser).setDisposition,
	"content-language":          (*parser).setLanguage,
	"content-id":                func(_ *parser, f *frame, v string) { first(&f.part.ID, v) },
	"content-description":       func(_ *parser, f *frame, v string) { first(&f.part.Description, v) },
	"content-transfer-encoding": func(_ *parser, f *frame, v string) { first(&f.part.Encoding, parseEncoding(v)) },
	"content-md5":               func(_ *parser, f *frame, v string) { first(&f.part.MD5, v) },
	"content-location":          func(_ *parser, f *frame, v string) { first(&f.part.Location, v) },
}

// envelopeFields are those of RFC 3501 section 7.4.2. Repeated address fields
// are one list; of other repeated fields (RFC 5322 section 3.6 forbids them)
// the last counts, as with Dovecot.
var envelopeFields = map[string]setter{
	"date":        func(_ *parser, f *frame, v string) { f.part.Envelope.Date = v },
	"subject":     func(_ *parser, f *frame, v string) { f.part.Envelope.Subject = v },
	"from":        func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.From, v) },
	"sender":      func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.Sender, v) },
	"reply-to":    func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.ReplyTo, v) },
	"to":          func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.To, v) },
	"cc":          func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.Cc, v) },
	"bcc":         func(p *parser, f *frame, v string) { p.addMailboxes(&f.part.Envelope.Bcc, v) },
	"in-reply-to": func(_ *parser, f *frame, v string) { f.part.Envelope.InReplyTo = v },
	"message-id":  func(_ *parser, f *frame, v string) { f.part.Envelope.MessageID = v },
}

func first(to *string, v string) {
	if *to == "" {
		*to = v
	}
}

// startField looks at the first line of a field. Only fields of interest are
// kept.
func (p *parser) startField(f *frame, line []byte) {
	name, value := cutField(line)
	if len(name) > len("content-transfer-encoding") {
		return
	}
	key := strings.ToLower(string(name))
	if f.setter(key) == nil {
		return
	}
	p.name = key
	p.keep(value)
}

// cutField splits a field's first line at the colon. A line without a colon is
// a name alone; blanks before the colon are not part of the name (RFC 5322
// section 4.5, obsolete but seen).
func cutField(line []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(line, []byte(":"))
	return bytes.TrimRight(name, " \t\r\n"), value
}

func (f *frame) setter(key string) setter {
	if f.part.Envelope != nil {
		if s := envelopeFields[key]; s != nil {
			return s
		}
	}
	return contentFields[key]
}

// keep adds to the value of the present field as much as the limits allow.
func (p *parser) keep(text []byte) {
	if p.name == "" {
		return
	}
	n := min(len(text), maxValue-len(p.value), p.kept)
	p.value = append(p.value, text[:n]...)
	p.kept -= n
}

// endField hands a complete field to its setter.
func (p *parser) endField(f *frame) {
	if p.name == "" {
		return
	}
	f.setter(p.name)(p, f, unfold(p.value))
	p.name, p.value = "", p.value[:0]
}

// unfold is the value of a field on one line: line ends go, the blanks that
// follow them stay (RFC 5322 section 2.2.3).
func unfold(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			b.Write(raw)
			break
		}
		line := raw[:i+1]
		b.Write(line[:len(line)-eolLen(line)])
		raw = raw[i+1:]
	}
	return strings.Trim(b.String(), " \t\r\n")
}

func (p *parser) addMailboxes(to *[]Mailbox, v string) {
	list := ParseAddressList(v, p.mailboxes)
	p.mailboxes -= len(list)
	*to = append(*to, list...)
}

func (p *parser) setType(f *frame, v string) {
	if f.sawType {
		return
	}
	l := lexer{s: v}
	typ := l.token()
	l.skip()
	if typ == "" || !l.eat('/') {
		return
	}
	l.skip()
	sub := l.token()
	if sub == "" {
		return
	}
	f.sawType = true
	f.part.Type, f.part.Subtype = typ, sub
	f.part.Params = l.params()
}

func (p *parser) setDisposition(f *frame, v string) {
	l := lexer{s: v}
	if l.skip(); l.peek() == '"' {
		f.part.Disposition = l.quoted()
	} else {
		f.part.Disposition = l.token()
	}
	f.part.DispositionParams = l.params()
}

// setLanguage reads Content-Language (RFC 3282): tags between commas.
func (p *parser) setLanguage(f *frame, v string) {
	if f.part.Language != nil {
		return
	}
	var tags []string
	l := lexer{s: v}
	for !l.done() && len(tags) < 100 {
		if tag := l.token(); tag != "" {
			tags = append(tags, tag)
			continue
		}
		l.i++
	}
	f.part.Language = tags
}

// parseEncoding reads Content-Transfer-Encoding, which is one token; text that
// is not ("8 bit") is no encoding.
func parseEncoding(v string) string {
	l := lexer{s: v}
	token := l.token()
	if l.done() || l.peek() == ';' {
		return token
	}
	return ""
}
