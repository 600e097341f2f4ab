package sieve

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"gomaild/message"
)

// replacement is a MIME part that is another now: its octets in the source of
// the message, and those that take their place.
type replacement struct {
	span message.Span
	part string
}

// replace is RFC 5703 section 5.
type replace struct {
	pos           Pos
	text          text
	mime          bool
	subject, from *text
}

func buildReplace(c *checker, n *call) any {
	r := &replace{pos: n.pos, text: c.string(n.args[0]), mime: n.has("mime"), subject: c.optional(n, "subject"), from: c.optional(n, "from")}
	if r.from != nil {
		if s, ok := r.from.constant(); ok && !isMailboxes(s) {
			c.errorf(r.from.pos, "replace command: specified :from address '%s' is invalid", shorten(s))
		}
	}
	return r
}

// isMailboxes reports a list of addresses as a From field has it.
func isMailboxes(s string) bool {
	boxes := message.ParseAddressList(s, maxAddresses)
	return len(boxes) > 0 && !slices.ContainsFunc(boxes, func(b message.Mailbox) bool { return b.Local == "" || b.Domain == "" })
}

func (r *replace) exec(m *machine) error {
	part, err := r.text.value(m)
	if err != nil {
		return err
	}
	part = crlf(part)
	if !r.mime {
		part = textHeader + part
	}
	if _, err := m.msg.header(); err != nil {
		return m.fault(r.pos, err)
	}
	if m.msg.truncated {
		return m.failAt(r.pos, "%v", errHeaderTooLarge)
	}
	if m.part != nil {
		root, err := m.msg.root()
		if err != nil {
			return m.fault(r.pos, err)
		}
		if m.part != root {
			return m.replacePart(r.pos, m.part, part)
		}
	}
	return r.replaceAll(m, part)
}

const textHeader = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"

// replacePart notes what the current part of a loop becomes.
func (m *machine) replacePart(at Pos, p *message.Part, text string) error {
	span := message.Span{Off: p.Header.Off, Len: p.Body.Off + p.Body.Len - p.Header.Off}
	c := m.msg
	if c.isGone(span) {
		return m.failAt(at, "replace action: the part is gone already")
	}
	inside := func(r replacement) bool { return r.span.Off >= span.Off && r.span.Off+r.span.Len <= span.Off+span.Len }
	c.parts = append(slices.DeleteFunc(c.parts, inside), replacement{span, text})
	c.edited, c.rendered = true, nil
	return m.write(at, len(text))
}

// replaceAll makes text, a MIME entity, the content of the message. Fields that
// are not about its MIME structure stay.
func (r *replace) replaceAll(m *machine, text string) error {
	subject, err := m.optional(r.subject)
	if err != nil {
		return err
	}
	from, err := m.optional(r.from)
	if err != nil {
		return err
	}
	if from != "" && !isMailboxes(from) {
		return m.failAt(r.pos, "replace action: specified :from address '%s' is invalid", shorten(from))
	}
	var fields []*field
	for _, f := range m.msg.fields {
		switch {
		case isMIMEField(f.name):
			continue
		case subject != "" && strings.EqualFold(f.name, "Subject"), from != "" && strings.EqualFold(f.name, "From"):
			f = newField("Original-"+f.name, f.value())
			m.originals = true
		}
		fields = append(fields, f)
	}
	if subject != "" {
		fields = append(fields, newField("Subject", subject))
	}
	if from != "" {
		fields = append(fields, newField("From", from))
	}
	return m.become(r.pos, fields, strings.NewReader(text), len(text))
}

func isMIMEField(name string) bool {
	return len(name) >= 8 && strings.EqualFold(name[:8], "Content-") || strings.EqualFold(name, "MIME-Version")
}

// newField is a field that a script made.
func newField(name, value string) *field {
	w := headerWriter{controls: true}
	w.field(name, value)
	decoded := strings.TrimSpace(unfold(value))
	return &field{name: name, text: decoded, added: w.String(), decoded: &decoded}
}

// become makes a header and a MIME entity the message. The fields of the entity
// go into the header.
func (m *machine) become(at Pos, fields []*field, entity message.Content, written int) error {
	fields = append(fields, newField("MIME-Version", "1.0"))
	inner := newContent(entity)
	own, err := inner.header()
	if err != nil {
		return m.fault(at, err)
	}
	for _, f := range own {
		if strings.EqualFold(f.name, "MIME-Version") {
			continue
		}
		raw, err := inner.raw(f)
		if err != nil {
			return m.fault(at, err)
		}
		fields = append(fields, &field{name: f.name, text: f.text, added: raw})
	}
	if err := m.edit(at, fields); err != nil {
		return err
	}
	m.msg.whole = io.NewSectionReader(entity, inner.bodyAt, entity.Size()-inner.bodyAt)
	if m.part == nil {
		m.settle()
	}
	return m.write(at, written)
}

// raw is the octets of a field, with the line end.
func (c *content) raw(f *field) (string, error) {
	if f.added != "" {
		return f.added, nil
	}
	b := make([]byte, f.span.Len, f.span.Len+2)
	if n, err := c.src.ReadAt(b, f.span.Off); err != nil && n < len(b) {
		return "", fmt.Errorf("read message header: %w", err)
	}
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, "\r\n"...)
	}
	return string(b), nil
}

// write counts what a script adds to the message.
func (m *machine) write(at Pos, n int) error {
	if m.written += n; m.written > m.limits.Replaced {
		return m.failAt(at, "what the script puts into the message exceeds %d bytes", m.limits.Replaced)
	}
	return m.spend(at, 10+n/64)
}

// settle makes what was replaced the message that tests and loops see from now
// on. Inside a loop they see the message that it began with.
func (m *machine) settle() {
	c := m.msg
	if c.whole == nil && len(c.parts) == 0 {
		return
	}
	src, err := c.current()
	if err != nil {
		return // and the next action meets the same fault
	}
	m.msg = &content{src: src, rendered: src, edited: true, enclosed: c.enclosed}
}

// isGone reports that octets of the source are in what was replaced.
func (c *content) isGone(s message.Span) bool {
	return c.whole != nil || slices.ContainsFunc(c.parts, func(r replacement) bool {
		return s.Off >= r.span.Off && s.Off+s.Len <= r.span.Off+r.span.Len
	})
}

// body is what follows the header now.
func (c *content) body() message.Content {
	if c.whole != nil {
		return c.whole
	}
	slices.SortFunc(c.parts, func(a, b replacement) int { return int(min(1, max(-1, a.span.Off-b.span.Off))) })
	end := c.src.Size()
	var tail message.Content = strings.NewReader("")
	for _, r := range slices.Backward(c.parts) {
		after := r.span.Off + r.span.Len
		tail = message.Joined{Head: []byte(r.part), Tail: pair{io.NewSectionReader(c.src, after, end-after), tail}}
		end = r.span.Off
	}
	return pair{io.NewSectionReader(c.src, c.bodyAt, end-c.bodyAt), tail}
}

// pair is one content after another.
type pair struct{ first, second message.Content }

// Size implements message.Content.
func (p pair) Size() int64 { return p.first.Size() + p.second.Size() }

// ReadAt implements io.ReaderAt.
func (p pair) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if size := p.first.Size(); off < size {
		var err error
		n, err = p.first.ReadAt(b[:min(int64(len(b)), size-off)], off)
		if n == len(b) || err != nil && err != io.EOF {
			return n, err
		}
	}
	k, err := p.second.ReadAt(b[n:], off+int64(n)-p.first.Size())
	return n + k, err
}
