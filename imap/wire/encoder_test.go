package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEncoder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule  string
		print func(e *Encoder)
		want  string
	}{
		{"quotes and escapes", func(e *Encoder) { e.String(`a "b" \c`) }, `"a \"b\" \\c"`},
		{"what quotes cannot hold", func(e *Encoder) { e.String("a\r\nb") }, "{4}\r\na\r\nb"},
		{"8-bit text", func(e *Encoder) { e.String("ü") }, "{2}\r\nü"},
		{"an atom where it is enough", func(e *Encoder) { e.AString("INBOX") }, "INBOX"},
		{"an empty string is no atom", func(e *Encoder) { e.AString("") }, `""`},
		{"a mailbox name", func(e *Encoder) { e.Mailbox("Entwürfe 1") }, `"Entw&APw-rfe 1"`},
		{"a date", func(e *Encoder) {
			e.DateTime(time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", -8*3600)))
		}, `"03-Feb-2026 04:05:06 -0800"`},
		{"a literal", func(e *Encoder) { e.Literal(3, strings.NewReader("abcdef")) }, "{3}\r\nabc"},
		{"NULs in a literal", func(e *Encoder) { e.Literal(3, strings.NewReader("\x00a\x00")) }, "{3}\r\n\x80a\x80"},
		{"NULs in a literal that is there", func(e *Encoder) { e.LiteralOctets([]byte("\x00\x00")) }, "{2}\r\n\x80\x80"},
		{"NULs in a string", func(e *Encoder) { e.String("a\x00") }, "{2}\r\na\x80"},
		{"a literal8", func(e *Encoder) { e.Literal8(2, strings.NewReader("a\x00")) }, "{2}\r\na\x00"},
		{"what is taken back", func(e *Encoder) { e.Raw("a"); m := e.Mark(); e.Raw("bc"); e.Rollback(m); e.Raw("d") }, "ad"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		e := NewEncoder(&out)
		tt.print(e)
		if err := e.Flush(); err != nil || out.String() != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.rule, out.String(), err, tt.want)
		}
	}
}

// TestLiteralShort holds that a content that is shorter than its size breaks
// the encoder: whatever came next would be taken for content.
func TestLiteralShort(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{10, flushSize + 1} {
		var out bytes.Buffer
		e := NewEncoder(&out)
		e.Literal(size, strings.NewReader("short"))
		e.Raw(" NEXT")
		if err := e.Flush(); !errors.Is(err, ErrShort) || strings.Contains(out.String(), "NEXT") {
			t.Errorf("size %d: %v, sent %q", size, err, out.String())
		}
	}
}

// TestLargeLiteral holds that a large content does not pass through the
// buffer, and that what was sent cannot be taken back.
func TestLargeLiteral(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := NewEncoder(&out)
	mark := e.Mark()
	content := strings.Repeat("x", 3*flushSize)
	e.Literal(int64(len(content)), strings.NewReader(content))
	if e.Buffered() != 0 || e.Rollback(mark) {
		t.Errorf("%d octets in the buffer after a large literal", e.Buffered())
	}
	if !strings.HasSuffix(out.String(), "}\r\n"+content) {
		t.Error("content is not what was given")
	}
}

func TestAppendSet(t *testing.T) {
	t.Parallel()
	for want, numbers := range map[string][]uint32{
		"":           nil,
		"7":          {7},
		"1:3,5,9:10": {1, 2, 3, 5, 9, 10},
		"4,2:3,1":    {4, 2, 3, 1},
		"4294967295": {4294967295},
	} {
		if got := string(AppendSet(nil, numbers)); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}
