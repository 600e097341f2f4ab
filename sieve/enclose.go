package sieve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"gomaild/message"
)

// enclose is RFC 5703 section 6.
type enclose struct {
	pos     Pos
	text    text
	subject *text
	headers texts
}

func buildEnclose(c *checker, n *call) any {
	e := &enclose{pos: n.pos, text: c.string(n.args[0]), subject: c.optional(n, "subject")}
	if a, ok := n.tags["headers"]; ok {
		e.headers = c.texts(a)
	}
	return e
}

func (e *enclose) exec(m *machine) error {
	note, err := e.text.value(m)
	if err != nil {
		return err
	}
	fields, err := e.header(m)
	if err != nil {
		return err
	}
	before, err := m.current(e.pos)
	if err != nil {
		return err
	}
	if before == nil {
		before = m.msg.src
	}
	if m.msg.enclosed == nil {
		m.msg.enclosed = before
	}
	entity, err := mixed(note, before)
	if err != nil {
		return m.fault(e.pos, err)
	}
	if err := m.spend(e.pos, int(before.Size()/1024)); err != nil {
		return err
	}
	return m.become(e.pos, fields, entity, len(note))
}

// header is the new header: the fields that :headers names, and a subject, a
// date and a sender in any case.
func (e *enclose) header(m *machine) ([]*field, error) {
	names, err := e.headers.values(m)
	if err != nil {
		return nil, err
	}
	subject, err := m.optional(e.subject)
	if err != nil {
		return nil, err
	}
	all, err := m.msg.header()
	if err != nil {
		return nil, m.fault(e.pos, err)
	}
	if m.msg.truncated {
		return nil, m.failAt(e.pos, "%v", errHeaderTooLarge)
	}
	var fields []*field
	have := map[string]bool{}
	for _, f := range all {
		isNamed := hasFlag(names, f.name) && !isMIMEField(f.name)
		isSubject := strings.EqualFold(f.name, "Subject")
		if isSubject && subject != "" || !isNamed && !isSubject {
			continue
		}
		raw, err := m.msg.raw(f)
		if err != nil {
			return nil, m.fault(e.pos, err)
		}
		have[strings.ToLower(f.name)] = true
		fields = append(fields, &field{name: f.name, text: f.text, added: raw})
	}
	for _, f := range []struct{ name, value string }{
		{"Subject", subject},
		{"From", pathOf(m.env.To)},
		{"Date", m.env.now().Format("Mon, 02 Jan 2006 15:04:05 -0700")},
	} {
		if !have[strings.ToLower(f.name)] && f.value != "" {
			fields = append(fields, newField(f.name, f.value))
		}
	}
	return fields, nil
}

// mixed is a MIME entity of a text and a message. The boundary is a hash of
// both, so no author can have put it into the message.
func mixed(note string, c message.Content) (message.Content, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(c, 0, c.Size())); err != nil {
		return nil, fmt.Errorf("read message to enclose it: %w", err)
	}
	h.Write([]byte(note))
	boundary := "sieve-" + hex.EncodeToString(h.Sum(nil)[:12])
	head := "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n--" + boundary + "\r\n" +
		textHeader + crlf(note) + "\r\n--" + boundary + "\r\nContent-Type: message/rfc822\r\n\r\n"
	return message.Joined{Head: []byte(head), Tail: pair{c, strings.NewReader("\r\n--" + boundary + "--\r\n")}}, nil
}

// sent is the message as a redirect sends it: what encloses it stays here (RFC
// 5703 section 6).
func (c *content) sent() (message.Content, error) {
	if c.enclosed != nil {
		return c.enclosed, nil
	}
	return c.current()
}
