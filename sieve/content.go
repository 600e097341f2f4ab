package sieve

import (
	"fmt"
	"io"
	"strings"

	"gomaild/mail"
	"gomaild/message"
)

// Bounds of what is kept of one message's header.
const (
	maxFields      = 20_000
	maxFieldOctets = 8 << 20
	maxEdited      = 1 << 20 // octets of a header that may be edited: each change makes it anew
	maxAddresses   = 1000    // of one field
	maxNamed       = 32      // names whose fields are kept together
)

// content is the message as scripts see it.
type content struct {
	src       message.Content
	loaded    bool
	fields    []*field
	byName    []namedFields // those asked for, as they were spelled
	bodyAt    int64         // where the body begins in src
	bodiless  bool          // the header is all, without an empty line: RFC 5173 section 4
	summary   *message.Summary
	octets    int             // of the header's values, as it came
	truncated bool            // fields holds not all of the header
	edited    bool            // fields is not the header of src
	rendered  message.Content // the edited message, once made
	parts     []replacement   // MIME parts that are others now
	whole     message.Content // the body that took the place of all parts, nil: none did
	enclosed  message.Content // the message before it was enclosed, nil: it was not
}

// field is one header field, decoded when somebody asks.
type field struct {
	name    string
	text    string // unfolded
	span    message.Span
	added   string // the whole field of one that editheader made
	decoded *string
	folded  *string // decoded, as i;ascii-casemap folds it
	boxes   []message.Mailbox
	parsed  bool
}

func newContent(c message.Content) *content {
	if c == nil {
		c = strings.NewReader("")
	}
	return &content{src: c}
}

// header is every field in order.
func (c *content) header() ([]*field, error) {
	if c.loaded {
		return c.fields, nil
	}
	end := int64(0)
	for f, err := range message.Fields(c.src, message.Span{Len: c.src.Size()}) {
		if err != nil {
			return nil, fmt.Errorf("read message header: %w", err)
		}
		end = f.Span.Off + f.Span.Len
		c.octets += len(f.Value)
		if len(c.fields) >= maxFields || c.octets > maxFieldOctets {
			c.truncated = true
			continue
		}
		c.fields = append(c.fields, &field{name: f.Name, text: f.Text(), span: f.Span})
	}
	c.bodyAt = skipEmptyLine(c.src, end)
	c.bodiless = end == c.src.Size()
	c.loaded = true
	return c.fields, nil
}

// skipEmptyLine is the offset behind the line end at off.
func skipEmptyLine(c message.Content, off int64) int64 {
	var two [2]byte
	n, err := c.ReadAt(two[:], off)
	switch {
	case err != nil && err != io.EOF:
		return off
	case n >= 1 && two[0] == '\n':
		return off + 1
	case n == 2 && two[0] == '\r' && two[1] == '\n':
		return off + 2
	}
	return off
}

// value is the field's value as people read it.
func (f *field) value() string {
	if f.decoded == nil {
		s := message.DecodeHeader(f.text)
		f.decoded = &s
	}
	return *f.decoded
}

// foldedASCII is value as i;ascii-casemap compares it.
func (f *field) foldedASCII() string {
	if f.folded == nil {
		s := mail.FoldASCII(f.value())
		f.folded = &s
	}
	return *f.folded
}

func (f *field) addresses() []message.Mailbox {
	if !f.parsed {
		f.boxes = message.ParseAddressList(f.text, maxAddresses)
		f.parsed = true
	}
	return f.boxes
}

// named is the fields of a name, in any case of letters.
func (c *content) named(name string) ([]*field, error) {
	all, err := c.header()
	if err != nil {
		return nil, err
	}
	for i := range c.byName {
		if c.byName[i].name == name {
			return c.byName[i].fields, nil
		}
	}
	found := namedIn(all, name)
	if len(c.byName) < maxNamed {
		c.byName = append(c.byName, namedFields{name, found})
	}
	return found, nil
}

// namedFields are the fields of a name. Scripts ask for few names, many times.
type namedFields struct {
	name   string
	fields []*field
}

func namedIn(all []*field, name string) []*field {
	var found []*field
	for _, f := range all {
		if strings.EqualFold(f.name, name) {
			found = append(found, f)
		}
	}
	return found
}

// address is the first address of a field, "" if there is none.
func (c *content) address(name string) string {
	fields, err := c.named(name)
	if err != nil || len(fields) == 0 {
		return ""
	}
	for _, box := range fields[0].addresses() {
		if box.Local != "" && box.Domain != "" {
			return box.Local + "@" + box.Domain
		}
	}
	return ""
}

// bytes is the whole message.
func (c *content) bytes() ([]byte, error) {
	src, err := c.current()
	if err != nil {
		return nil, err
	}
	if src == nil {
		src = c.src
	}
	raw, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return raw, nil
}
