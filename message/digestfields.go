package message

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// KeptField is a header field of which a Digest keeps the text. The zero value
// is none.
type KeptField uint8

// keptNames are the fields that clients ask for in lists of messages and in
// searches. New ones are added at the end; the number of one never changes.
var keptNames = [...]string{
	"", "date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references",
	"list-id", "list-post", "list-unsubscribe", "list-subscribe", "list-help", "list-owner", "list-archive", "list-unsubscribe-post",
	"priority", "x-priority", "importance", "x-msmail-priority", "precedence", "auto-submitted",
	"content-type", "content-transfer-encoding", "content-description", "content-disposition", "mime-version", "lines",
	"newsgroups", "followup-to", "mail-followup-to", "mail-reply-to",
	"resent-message-id", "resent-date", "resent-from", "resent-to",
	"disposition-notification-to", "return-receipt-to", "x-confirm-reading-to", "organization", "user-agent", "x-mailer",
	"x-label", "x-original-to", "delivered-to", "return-path", "envelope-to",
	"x-spam-flag", "x-spam-status", "x-spam-level", "x-spam-score",
	"x-uniform-type-identifier", "x-universally-unique-identifier", "x-mozilla-draft-info", "x-forwarded-message-id", "expires",
}

// Fields that are kept, by name.
const (
	KeptDate       KeptField = 1
	KeptSubject    KeptField = 2
	KeptFrom       KeptField = 3
	KeptTo         KeptField = 6
	KeptCc         KeptField = 7
	KeptMessageID  KeptField = 9
	KeptInReplyTo  KeptField = 10
	KeptReferences KeptField = 11
)

// longestKept is that of the longest name.
const longestKept = len("x-universally-unique-identifier")

// Kept is the field of that name, in any case of letters; 0 if it is not kept.
func Kept(name string) KeptField { return keptField([]byte(name)) }

func keptField(name []byte) KeptField {
	if len(name) == 0 || len(name) > longestKept {
		return 0
	}
	for i := range keptNames {
		if len(keptNames[i]) == len(name) && equalFoldASCII(name, keptNames[i]) {
			return KeptField(i)
		}
	}
	return 0
}

// equalFoldASCII compares with a name in small letters of the same length.
func equalFoldASCII(name []byte, lower string) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Limits of the kept fields. Beyond them, and where the header has what their
// text in a digest could not show, they are not complete.
const (
	maxKeptHeader = 64 << 10 // stored octets of the header
	maxKeptFields = 16 << 10 // kept octets
)

// keepFields are the kept fields of a header: of each its number, the length of
// its text, and its text in wire form, name, line ends and all.
func keepFields(c Content, header Span) (fields []byte, complete bool, err error) {
	if header.Len > maxKeptHeader {
		return nil, false, nil
	}
	lines := newLineScanner(c, header)
	var text []byte
	var field KeptField
	end := func() {
		if field != 0 {
			fields = append(fields, byte(field))
			fields = binary.AppendUvarint(fields, uint64(len(text)))
			fields = append(fields, text...)
		}
		field, text = 0, text[:0]
	}
	for {
		pc, ok := lines.next()
		if !ok {
			return nil, false, lines.err // no empty line
		}
		if pc.isBlank() {
			break
		}
		if !pc.end || bytes.IndexByte(pc.text, 0) >= 0 || len(fields) > maxKeptFields {
			return nil, false, nil
		}
		if pc.text[0] != ' ' && pc.text[0] != '\t' {
			end()
			name, _ := cutField(pc.text)
			field = keptField(name)
		}
		if field != 0 {
			text = append(text, pc.text[:len(pc.text)-eolLen(pc.text)]...)
			text = append(text, '\r', '\n')
		}
	}
	end()
	return fields, len(fields) <= maxKeptFields, nil
}

// HasFields reports whether the kept fields are all that the header has of them.
func (d *Digest) HasFields() bool { return d.complete }

// Field is the text of the first field of that kind on one line, unfolded, not
// decoded, as Field.Text of the header's own; false if there is none.
func (d *Digest) Field(want KeptField) (string, bool) {
	r := digestReader{rest: d.fields}
	for {
		f, text := r.field()
		if f == 0 {
			return "", false
		}
		if f == want {
			return fieldText(text), true
		}
	}
}

// EachField calls f with the text of each field of that kind until it returns
// false.
func (d *Digest) EachField(want KeptField, f func(text string) bool) {
	for r := (digestReader{rest: d.fields}); ; {
		switch field, text := r.field(); {
		case field == 0:
			return
		case field == want && !f(fieldText(text)):
			return
		}
	}
}

func fieldText(lines []byte) string {
	end := bytes.IndexByte(lines, '\n') + 1
	_, value := cutField(lines[:end])
	if end == len(lines) {
		return strings.Trim(string(value), " \t\r\n")
	}
	return unfold(lines[end-len(value):])
}

// field is the next one, 0 at the end.
func (r *digestReader) field() (KeptField, []byte) {
	if len(r.rest) == 0 {
		return 0, nil
	}
	f := KeptField(r.rest[0])
	r.rest = r.rest[1:]
	text := r.take(r.number(uint64(len(r.rest))))
	if r.bad || f == 0 {
		return 0, nil
	}
	return f, text
}

// FieldSet is a set of kept fields.
type FieldSet uint64

// Add adds the field of that name; false if it is not kept.
func (s *FieldSet) Add(name string) bool {
	f := Kept(name)
	*s |= 1 << f
	return f != 0
}

// AppendFields adds to dst what HeaderFields gives for these names: the fields in
// the header's order and the empty line. HasFields must be true.
func (d *Digest) AppendFields(dst []byte, set FieldSet) []byte {
	for r := (digestReader{rest: d.fields}); ; {
		f, text := r.field()
		if f == 0 {
			break
		}
		if set&(1<<f) != 0 {
			dst = append(dst, text...)
		}
	}
	return append(dst, '\r', '\n')
}
