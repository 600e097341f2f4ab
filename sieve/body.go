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
	if _, err := m.msg.header(); err != nil {
		return "", m.fault(m.at, err)
	}
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
		if !strings.EqualFold(p.Type, "text") {
			return true, nil
		}
		s, err := m.readText(p)
		return err == nil && yield(s), err
	})
	return err
}

// readText is the decoded text of a part, of HTML without its tags.
func (m *machine) readText(p *message.Part) (string, error) {
	s, err := m.readBody(p.Body, p.Encoding, paramValue(p.Params, "charset", "us-ascii"))
	if err == nil && strings.EqualFold(p.Subtype, "html") {
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
		charset := ""
		if strings.EqualFold(p.Type, "text") {
			charset = paramValue(p.Params, "charset", "us-ascii")
		}
		s, err := m.readBody(p.Body, p.Encoding, charset)
		return err == nil && yield(s), err
	})
	return err
}

// walk visits a part and those in it until visit wants no more; a multipart is
// not visited, its parts are.
func (m *machine) walk(p *message.Part, visit func(*message.Part) (more bool, err error)) (more bool, err error) {
	if err := m.spend(m.at, 1); err != nil {
		return false, err
	}
	if !p.IsMultipart() {
		if more, err := visit(p); err != nil || !more {
			return false, err
		}
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
