package sieve

import (
	"io"
	"strings"

	"gomaild/message"
)

// maxBody bounds what a body test reads of one part.
const maxBody = 4 << 20

// body is RFC 5173.
type body struct {
	raw     bool
	types   texts // of :content
	content bool
	match   match
}

func buildBody(c *checker, n *call) any {
	b := &body{raw: n.has("raw"), match: c.match(n, n.args[0])}
	b.match.capture = false // RFC 5173 section 6: no match values
	if a, ok := n.tags["content"]; ok {
		b.content, b.types = true, c.texts(a)
	}
	return b
}

func (t *body) eval(m *machine) (bool, error) {
	return t.match.over(m, func(yield func(string) bool) error {
		if _, err := m.msg.header(); err != nil {
			return m.fault(m.at, err)
		}
		if m.msg.bodiless {
			return nil
		}
		if t.raw {
			s, err := m.rawBody()
			if err == nil {
				yield(s)
			}
			return err
		}
		types, err := t.types.values(m)
		if err != nil {
			return err
		}
		if t.content {
			return m.eachPart(types, yield)
		}
		return m.eachText(yield)
	})
}

func (m *machine) rawBody() (string, error) {
	return m.readBody(message.Span{Off: m.msg.bodyAt, Len: m.msg.src.Size() - m.msg.bodyAt}, "", "")
}

// readBody is decoded text, at most maxBody octets of it.
func (m *machine) readBody(s message.Span, encoding, charset string) (string, error) {
	var r io.Reader = io.NewSectionReader(m.msg.src, s.Off, max(0, s.Len))
	r = message.DecodeBody(r, encoding)
	if charset != "" {
		r, _ = message.CharsetReader(charset, r)
	}
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(r, maxBody))
	if err != nil {
		return "", m.fault(m.at, err)
	}
	return b.String(), m.spend(m.at, int(n/256))
}

// eachText goes over the text of every text part, of HTML what a person reads.
func (m *machine) eachText(yield func(string) bool) error {
	root, err := m.msg.root()
	if err != nil {
		return m.fault(m.at, err)
	}
	_, err = m.walk(root, func(p *message.Part) (bool, error) {
		if !isText(p) {
			return true, nil
		}
		s, err := m.readText(p)
		return err == nil && yield(s), err
	})
	return err
}

// isText reports a part that a person reads as text and that can be decoded.
func isText(p *message.Part) bool {
	switch strings.ToLower(p.Encoding) {
	case "", "7bit", "8bit", "binary", "quoted-printable", "base64":
	default:
		return false // RFC 2045 section 6.4: an unknown one is to be taken for octets
	}
	return strings.EqualFold(p.Type, "text") && !strings.Contains(p.Subtype, "/") || isXHTML(p)
}

// isXHTML is RFC 3236.
func isXHTML(p *message.Part) bool {
	return strings.EqualFold(p.Type, "application") && strings.EqualFold(p.Subtype, "xhtml+xml")
}

// readText is the decoded text of a part, of HTML without its tags.
func (m *machine) readText(p *message.Part) (string, error) {
	s, err := m.readBody(p.Body, p.Encoding, paramValue(p.Params, "charset", "us-ascii"))
	if err == nil && (strings.EqualFold(p.Subtype, "html") || isXHTML(p)) {
		s = message.HTMLText(s)
	}
	return s, err
}

// eachPart goes over the parts of the given types: RFC 5173 section 5.2.
func (m *machine) eachPart(types []string, yield func(string) bool) error {
	root, err := m.msg.root()
	if err != nil {
		return m.fault(m.at, err)
	}
	_, err = m.walk(root, func(p *message.Part) (bool, error) {
		if !isType(p, types) {
			return true, nil
		}
		return m.ownText(p, yield)
	})
	return err
}

// ownText is the content of a part without the parts in it: of a multipart what
// stands before and behind them, of a message its header.
func (m *machine) ownText(p *message.Part, yield func(string) bool) (more bool, err error) {
	switch {
	case p.IsMultipart() && len(p.Parts) > 0:
		last := p.Parts[len(p.Parts)-1].Body
		before, err := m.readBody(message.Span{Off: p.Body.Off, Len: p.Parts[0].Header.Off - p.Body.Off}, "", "")
		if err != nil {
			return false, err
		}
		behind, err := m.readBody(message.Span{Off: last.Off + last.Len, Len: p.Body.Off + p.Body.Len - last.Off - last.Len}, "", "")
		if err != nil {
			return false, err
		}
		return yield(withoutLastLine(before)) && yield(withoutFirstLine(behind)), nil
	case p.IsMessage() && len(p.Parts) > 0:
		s, err := m.readBody(p.Parts[0].Header, "", "")
		return err == nil && yield(withoutEmptyLine(s)), err
	}
	charset := ""
	if strings.EqualFold(p.Type, "text") {
		charset = paramValue(p.Params, "charset", "us-ascii")
	}
	s, err := m.readBody(p.Body, p.Encoding, charset)
	return err == nil && yield(s), err
}

// withoutEmptyLine cuts what ends a header.
func withoutEmptyLine(s string) string {
	if s == "\r\n" || s == "\n" {
		return ""
	}
	if cut, ok := strings.CutSuffix(s, "\n\r\n"); ok {
		return cut + "\n"
	}
	if cut, ok := strings.CutSuffix(s, "\n\n"); ok {
		return cut + "\n"
	}
	return s
}

// withoutLastLine cuts the delimiter in front of the first part.
func withoutLastLine(s string) string {
	return s[:strings.LastIndexByte(strings.TrimRight(s, "\r\n"), '\n')+1]
}

// withoutFirstLine cuts the delimiter behind the last part, with the line end that
// belongs to it (RFC 2046 section 5.1.1).
func withoutFirstLine(s string) string {
	_, rest, _ := strings.Cut(strings.TrimLeft(s, "\r\n"), "\n")
	return rest
}

// walk visits a part and those in it until visit wants no more.
func (m *machine) walk(p *message.Part, visit func(*message.Part) (more bool, err error)) (more bool, err error) {
	if err := m.spend(m.at, 1); err != nil {
		return false, err
	}
	if more, err := visit(p); err != nil || !more {
		return false, err
	}
	for i := range p.Parts {
		if more, err := m.walk(&p.Parts[i], visit); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

func paramValue(params []message.Param, name, absent string) string {
	for _, p := range params {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return absent
}

// isType reports whether a part is of one of the types: "" is any, "text" a
// type, "text/plain" type and subtype.
func isType(p *message.Part, types []string) bool {
	full := p.Type + "/" + p.Subtype
	for _, t := range types {
		if t == "" || strings.EqualFold(t, p.Type) || strings.EqualFold(t, full) {
			return true
		}
	}
	return false
}

// root is the MIME tree.
func (c *content) root() (*message.Part, error) {
	if c.summary == nil {
		s, err := message.Parse(c.src)
		if err != nil {
			return nil, err
		}
		c.summary = s
	}
	return &c.summary.Root, nil
}
