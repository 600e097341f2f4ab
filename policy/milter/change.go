package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gomaild/mail"
	"gomaild/message"
)

// Bounds of what a filter is shown and may make.
const (
	maxHeader  = 1 << 20 // octets
	maxBody    = 64 << 20
	maxChanges = 1000
)

var errHeader = errors.New("header is too large for a filter")

// field is a header field: the name, and what stands behind the colon, without
// the line end.
type field struct{ name, text string }

// value is the text as filters see it, with LF where it is folded, and without
// the blank before it unless the filter wants it exactly.
func (f field) value(exact bool) string {
	v := strings.ReplaceAll(f.text, "\r\n", "\n")
	if !exact {
		v = strings.TrimLeft(v, " \t")
	}
	return v
}

// header is the fields of a message, and where the body begins.
type header struct {
	fields []field
	end    int64
}

func readHeader(c message.Content) (h header, err error) {
	total := int64(0)
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return h, err
		}
		if total += f.Span.Len; total > maxHeader {
			return h, errHeader
		}
		raw, err := io.ReadAll(message.NewWireReader(c, f.Span))
		if err != nil {
			return h, err
		}
		_, text, _ := bytes.Cut(raw, []byte(":"))
		h.fields = append(h.fields, field{f.Name, strings.TrimRight(string(text), "\r\n")})
		h.end = f.Span.Off + f.Span.Len
	}
	h.end, err = message.AfterBlankLine(c, h.end)
	return h, err
}

// change is one wish about the header.
type change struct {
	kind  byte
	index int
	field field
}

// ask notes a wish.
func (v *Verdict) ask(p packet) error {
	switch p.code {
	case askAddHeader:
		return v.wish(p.code, 0, p.data)
	case askInsertHeader, askChangeHeader:
		if len(p.data) < 4 {
			return errProtocol
		}
		return v.wish(p.code, int(binary.BigEndian.Uint32(p.data)), p.data[4:])
	case askReplaceBody:
		if len(v.body)+len(p.data) > maxBody {
			return fmt.Errorf("a body of more than %d octets: %w", maxBody, errProtocol)
		}
		v.body, v.hasBody = append(v.body, p.data...), true
		return nil
	case askQuarantine:
		v.Quarantine = true
		return nil
	case askAddRcpt, askAddRcptPar, askRemoveRcpt, askChangeFrom:
		return v.redirect(p)
	}
	return fmt.Errorf("reply %q: %w", p.code, errProtocol)
}

// maxRedirects bounds the recipients that a filter adds or takes away.
const maxRedirects = 1000

// redirect notes an address, of which the parameters are passed over.
func (v *Verdict) redirect(p packet) error {
	text, _, _ := strings.Cut(string(p.data), "\x00")
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "<"); ok {
		text = strings.TrimSuffix(inner, ">")
	}
	if text == "" && p.code == askChangeFrom {
		v.From = new(mail.Address)
		return nil
	}
	a, err := mail.ParseAddress(text)
	if err != nil || len(v.Added)+len(v.Removed) == maxRedirects {
		return fmt.Errorf("address %q: %w", text, errProtocol)
	}
	switch p.code {
	case askChangeFrom:
		v.From = &a
	case askRemoveRcpt:
		v.Removed = append(v.Removed, a)
		v.Added = slices.DeleteFunc(v.Added, func(o mail.Address) bool { return o.Fold() == a.Fold() })
	default:
		v.Added = append(v.Added, a)
	}
	return nil
}

func (v *Verdict) wish(kind byte, index int, data []byte) error {
	pair, err := cutWords(data, 2)
	if err != nil {
		return err
	}
	name := pair[0]
	isName := name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
	if !isName || len(v.changes) == maxChanges {
		return fmt.Errorf("field %q: %w", name, errProtocol)
	}
	v.changes = append(v.changes, change{kind, index, field{name, wireValue(pair[1])}})
	return nil
}

// wireValue is a value of a filter as it stands in a message: folded with CRLF,
// each further line begun with a blank, so that no value ends the header.
func wireValue(s string) string {
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
	kept := lines[:1]
	for _, l := range lines[1:] {
		if strings.Trim(l, " \t") == "" {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			l = "\t" + l
		}
		kept = append(kept, l)
	}
	text := strings.Join(kept, "\r\n")
	if text != "" && text[0] != ' ' && text[0] != '\t' {
		text = " " + text
	}
	return text
}

// IsChanged reports that the filter wants another content.
func (v *Verdict) IsChanged() bool { return len(v.changes) > 0 || v.hasBody }

// Content is the content as the filter wants it, in wire form.
func (v *Verdict) Content(c message.Content) (io.Reader, error) {
	h, err := readHeader(c)
	if err != nil {
		return nil, err
	}
	for _, ch := range v.changes {
		h.fields = ch.apply(h.fields)
	}
	var b strings.Builder
	for _, f := range h.fields {
		b.WriteString(f.name + ":" + f.text + "\r\n")
	}
	b.WriteString("\r\n")
	if v.hasBody {
		return io.MultiReader(strings.NewReader(b.String()), bytes.NewReader(v.body)), nil
	}
	return io.MultiReader(strings.NewReader(b.String()), message.NewWireReader(c, message.Span{Off: h.end, Len: max(c.Size()-h.end, 0)})), nil
}

// apply makes the change. Fields of a name are counted from 1, and one that is
// not there is added; an empty value takes it away. An index of insertion is
// counted from 0, at the top.
func (ch change) apply(fields []field) []field {
	at := len(fields)
	switch ch.kind {
	case askInsertHeader:
		at = min(max(ch.index, 0), len(fields))
	case askChangeHeader:
		n := 0
		for i, f := range fields {
			if !strings.EqualFold(f.name, ch.field.name) {
				continue
			}
			if n++; n < max(ch.index, 1) {
				continue
			}
			if ch.field.text == "" {
				return append(fields[:i:i], fields[i+1:]...)
			}
			fields[i].text = ch.field.text
			return fields
		}
		if ch.field.text == "" {
			return fields
		}
	}
	return append(fields[:at:at], append([]field{ch.field}, fields[at:]...)...)
}
