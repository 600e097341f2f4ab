package sieve

import (
	"errors"
	"slices"
	"strings"

	"gomaild/message"
)

var errHeaderTooLarge = errors.New("the header is too large to be edited")

// addheader is RFC 5293 section 4.
type addheader struct {
	pos         Pos
	name, value text
	last        bool
}

func buildAddheader(c *checker, n *call) any {
	a := &addheader{pos: n.pos, name: c.string(n.args[0]), value: c.string(n.args[1]), last: n.has("last")}
	c.editName(n, a.name)
	if s, ok := a.value.constant(); ok && !isFieldValue(s) {
		c.errorf(a.value.pos, "%s command: specified value '%s' for field is invalid", n.name, shorten(s))
	} else if most := c.engine.limits.Headers; len(s) > most {
		c.errorf(a.value.pos, "%s command: specified value for field is longer than %d bytes", n.name, most)
	}
	return a
}

// isFieldValue reports what a field can hold: no NUL (RFC 5322 section 4.1).
func isFieldValue(s string) bool { return strings.IndexByte(s, 0) < 0 }

// editName complains of a name that no field can have.
func (c *checker) editName(n *call, name text) {
	if s, ok := name.constant(); ok && !isFieldName(s) {
		c.errorf(name.pos, "%s command: specified field name '%s' is invalid", n.name, shorten(s))
	}
}

func (a *addheader) exec(m *machine) error {
	name, err := a.name.value(m)
	if err != nil {
		return err
	}
	value, err := a.value.value(m)
	if err != nil {
		return err
	}
	if !isFieldName(name) {
		return m.failAt(a.pos, "addheader action: specified field name '%s' is invalid", shorten(name))
	}
	if !isFieldValue(value) {
		return m.failAt(a.pos, "addheader action: specified value '%s' for field is invalid", shorten(value))
	}
	if isForbidden(name, m.engine.noAdd) {
		return nil
	}
	f := newField(name, value)
	if m.added += len(f.added); m.added > m.limits.Headers {
		return m.failAt(a.pos, "addheader action: added fields exceed %d bytes", m.limits.Headers)
	}
	if _, err := m.msg.header(); err != nil {
		return m.fault(a.pos, err)
	}
	if a.last {
		return m.edit(a.pos, append(m.msg.fields[:len(m.msg.fields):len(m.msg.fields)], f))
	}
	return m.edit(a.pos, append([]*field{f}, m.msg.fields...))
}

// edit makes a list of fields the message's header.
func (m *machine) edit(at Pos, fields []*field) error {
	if m.msg.truncated || m.msg.octets > maxEdited {
		return m.failAt(at, "%v", errHeaderTooLarge)
	}
	m.msg.fields, m.msg.byName, m.msg.edited, m.msg.rendered = fields, nil, true, nil
	return m.spend(at, 1+len(fields)/8)
}

// deleteheader is RFC 5293 section 5.
type deleteheader struct {
	pos   Pos
	name  text
	match *match // nil: whatever the value
	which selection
}

func buildDeleteheader(c *checker, n *call) any {
	d := &deleteheader{pos: n.pos, which: c.selection(n)}
	name := n.args[0]
	if name.kind == argNone { // the optional argument is the last one: only a name was given
		d.name = c.string(n.args[1])
	} else {
		d.name = c.string(name)
		m := c.match(n, n.args[1])
		m.capture = false
		d.match = &m
	}
	if d.name.pos.Line > 0 {
		c.editName(n, d.name)
	}
	return d
}

// isForbidden reports a field that may not be touched; what it is about is left
// out, and the script goes on (RFC 5293 section 6).
func isForbidden(name string, list []string) bool {
	return !strings.EqualFold(name, "Subject") && slices.ContainsFunc(list, func(f string) bool { return strings.EqualFold(f, name) })
}

func (d *deleteheader) exec(m *machine) error {
	name, err := d.name.value(m)
	if err != nil {
		return err
	}
	if !isFieldName(name) {
		return m.failAt(d.pos, "deleteheader action: specified field name '%s' is invalid", shorten(name))
	}
	found, err := m.msg.named(name)
	if err != nil {
		return m.fault(d.pos, err)
	}
	if isForbidden(name, m.engine.noDelete) || len(found) == 0 {
		return nil
	}
	if m.originals && (strings.EqualFold(name, "Original-Subject") || strings.EqualFold(name, "Original-From")) {
		return nil // RFC 5703 section 5: what replace noted stays
	}
	gone := map[*field]bool{}
	for _, f := range choose(d.which, found) {
		hit := d.match == nil
		if !hit {
			if hit, err = d.match.over(m, func(yield func(string) bool) error { yield(f.value()); return nil }); err != nil {
				return err
			}
		}
		if hit {
			gone[f] = true
		}
	}
	var left []*field
	for _, f := range m.msg.fields {
		if !gone[f] {
			left = append(left, f)
		}
	}
	return m.edit(d.pos, left)
}

// current is the message with its edited header; the original where nothing
// was edited.
func (c *content) current() (message.Content, error) {
	if !c.edited || c.rendered != nil {
		return c.rendered, nil
	}
	var b strings.Builder
	b.Grow(c.octets + 64*len(c.fields))
	for _, f := range c.fields {
		raw, err := c.raw(f)
		if err != nil {
			return nil, err
		}
		b.WriteString(raw)
	}
	b.WriteString("\r\n")
	c.rendered = message.Joined{Head: []byte(b.String()), Tail: c.body()}
	return c.rendered, nil
}
