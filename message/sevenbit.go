package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
)

// ErrEightBit is a message that SevenBit cannot convert. It is permanent for the host
// that takes no 8-bit content.
var ErrEightBit = errors.New("8-bit content that cannot be converted")

// The bounds of a conversion: it is made in memory, and copies what it makes once a
// level.
const (
	maxConverted      = 64 << 20
	maxConvertedDepth = 50
)

// SevenBit is a message, in the form of the wire, without octets above 127, for hosts
// that take no others (RFC 6152 section 3): a text becomes quoted-printable, another
// part base64, as the fields say then (RFC 2045 section 6). What is 7-bit already is
// returned as it is. ErrEightBit is for what must not be changed or cannot be: parts that
// are signed or encrypted (RFC 1847 section 2.1), header fields, parts labelled with another
// encoding than they have, and messages beyond 64 MiB.
func SevenBit(c Content) (Content, error) {
	d := downgrade{c}
	eight, err := d.has(Span{Len: c.Size()})
	switch {
	case err != nil || !eight:
		return c, err
	case c.Size() > maxConverted:
		return nil, ErrEightBit
	}
	s, err := Parse(c)
	if err != nil {
		return nil, err
	}
	out, _, err := d.part(&s.Root, 0)
	return bytes.NewReader(out), err
}

// downgrade is one conversion.
type downgrade struct{ c Content }

// read is a span of the message.
func (d downgrade) read(s Span) ([]byte, error) {
	b := make([]byte, max(s.Len, 0))
	_, err := io.ReadFull(io.NewSectionReader(d.c, s.Off, int64(len(b))), b)
	return b, err
}

// has reports an octet above 127.
func (d downgrade) has(s Span) (bool, error) {
	r := io.NewSectionReader(d.c, s.Off, max(s.Len, 0))
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if isEight(buf[:n]) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

func isEight(b []byte) bool { return bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x80 }) }

// plain is a span that must be 7-bit as it is.
func (d downgrade) plain(s Span) ([]byte, error) {
	b, err := d.read(s)
	if err == nil && isEight(b) {
		err = ErrEightBit
	}
	return b, err
}

// part is an entity, header and body; changed tells that it is another than it was.
func (d downgrade) part(p *Part, depth int) (out []byte, changed bool, err error) {
	if depth > maxConvertedDepth {
		return nil, false, ErrEightBit
	}
	body, encoding, err := d.body(p, depth)
	if err != nil {
		return nil, false, err
	}
	if encoding == "" {
		head, err := d.plain(p.Header)
		return append(head, body...), false, err
	}
	head, err := d.header(p, encoding, depth == 0)
	return append(head, body...), true, err
}

// body is the body of a part, and its new encoding; "" is for one that is as it was.
func (d downgrade) body(p *Part, depth int) (out []byte, encoding string, err error) {
	if len(p.Parts) > 0 {
		return d.composite(p, depth)
	}
	if out, err = d.read(p.Body); err != nil || !isEight(out) {
		return out, "", err
	}
	isMessage := strings.EqualFold(p.Type, "message") || strings.EqualFold(p.Type, "multipart")
	if isMessage || strings.EqualFold(p.Encoding, "quoted-printable") || strings.EqualFold(p.Encoding, "base64") {
		return nil, "", ErrEightBit // RFC 2045 section 6.4 lets no composite type be encoded
	}
	if strings.EqualFold(p.Type, "text") {
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		_, err := w.Write(out)
		err = errors.Join(err, w.Close())
		return b.Bytes(), "quoted-printable", err
	}
	return base64Lines(out), "base64", nil
}

// base64Lines is base64 in lines of 76 characters (RFC 2045 section 6.8).
func base64Lines(b []byte) []byte {
	const perLine = 57
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2*(len(b)/perLine+1))
	for len(b) > 0 {
		n := min(perLine, len(b))
		out = base64.StdEncoding.AppendEncode(out, b[:n])
		if b = b[n:]; len(b) > 0 {
			out = append(out, "\r\n"...)
		}
	}
	return out
}

// composite is the body of a multipart or a message: the parts, and what stands
// between them.
func (d downgrade) composite(p *Part, depth int) (out []byte, encoding string, err error) {
	at := p.Body.Off
	for i := range p.Parts {
		child := &p.Parts[i]
		between, err := d.plain(Span{at, child.Header.Off - at})
		if err != nil {
			return nil, "", err
		}
		text, changed, err := d.part(child, depth+1)
		if err != nil {
			return nil, "", err
		}
		if changed {
			encoding = "7bit"
		}
		out = append(append(out, between...), text...)
		at = child.Body.Off + child.Body.Len
	}
	rest, err := d.plain(Span{at, p.Body.Off + p.Body.Len - at})
	sealed := strings.EqualFold(p.Type, "multipart") && (strings.EqualFold(p.Subtype, "signed") || strings.EqualFold(p.Subtype, "encrypted"))
	if encoding != "" && sealed {
		return nil, "", ErrEightBit
	}
	return append(out, rest...), encoding, err
}

// header is the header of a part with another encoding. A message without MIME
// gets what it lacks: "unknown-8bit" is the charset of RFC 1428.
func (d downgrade) header(p *Part, encoding string, isRoot bool) ([]byte, error) {
	var out []byte
	end := p.Header.Off
	hasType, hasVersion, written := false, false, false
	field := "Content-Transfer-Encoding: " + encoding + "\r\n"
	for f, err := range Fields(d.c, p.Header) {
		if err != nil {
			return nil, err
		}
		raw, err := d.plain(f.Span)
		if err != nil {
			return nil, err
		}
		end = f.Span.Off + f.Span.Len
		hasType = hasType || f.Is("Content-Type")
		hasVersion = hasVersion || f.Is("MIME-Version")
		if f.Is("Content-Transfer-Encoding") {
			if !written {
				out = append(out, field...)
			}
			written = true
			continue
		}
		out = append(out, raw...)
	}
	if isRoot && !hasVersion {
		out = append(out, "MIME-Version: 1.0\r\n"...)
	}
	if !hasType {
		out = append(out, "Content-Type: text/plain; charset=unknown-8bit\r\n"...)
	}
	if !written && encoding != "7bit" { // which is what none says
		out = append(out, field...)
	}
	rest, err := d.plain(Span{end, p.Header.Off + p.Header.Len - end})
	return append(out, rest...), err
}
