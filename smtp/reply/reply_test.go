package reply

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gomaild/mail"
)

// appendTests are also the seeds of FuzzAppend.
var appendTests = []struct {
	rule   string
	reply  Reply
	utf8OK bool
	want   string
}{
	{"one line", Reply{250, "2.1.0", []string{"Ok"}}, false, "250 2.1.0 Ok\r\n"},
	{"no enhanced code", Reply{220, "", []string{"mx ESMTP"}}, false, "220 mx ESMTP\r\n"},
	{"several lines", Reply{250, "", []string{"mx", "SIZE"}}, false, "250-mx\r\n250 SIZE\r\n"},
	{"the enhanced code is on each line", Reply{550, "5.7.1", []string{"a", "b"}}, false, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
	{"no text", Reply{250, "2.0.0", nil}, false, "250 2.0.0 \r\n"},
	{"a line end in the text ends no line", Reply{550, "5.1.1", []string{"a\r\n250 2.0.0 b"}}, false, "550 5.1.1 a  250 2.0.0 b\r\n"},
	{"controls", Reply{550, "5.1.1", []string{"a\x00\x1b[31m\x7f"}}, false, "550 5.1.1 a  [31m \r\n"},
	{"UTF-8 is for SMTPUTF8", Reply{550, "5.1.1", []string{"é"}}, false, "550 5.1.1 ?\r\n"},
	{"UTF-8 with SMTPUTF8", Reply{550, "5.1.1", []string{"é"}}, true, "550 5.1.1 é\r\n"},
	{"broken UTF-8", Reply{550, "5.1.1", []string{"a\xff"}}, true, "550 5.1.1 a?\r\n"},
	{"line separators of Unicode", Reply{550, "5.1.1", []string{"a\u2028\u0085b"}}, true, "550 5.1.1 a??b\r\n"},
	{"a code that is none is temporary", Reply{0, "2.0.0", []string{"x"}}, false, "451 4.3.0 x\r\n"},
	{"the class of the enhanced code follows the code", Reply{451, "5.1.1", []string{"x"}}, false, "451 4.0.0 x\r\n"},
	{"an enhanced code that is none", Reply{550, "5.1.1\r\n250 ", []string{"x"}}, false, "550 5.0.0 x\r\n"},
	{"3xx has no enhanced code", Reply{354, "2.0.0", []string{"go"}}, false, "354 go\r\n"},
	{"a long text goes on in another line", Reply{250, "", []string{strings.Repeat("x", 600)}}, false,
		"250-" + strings.Repeat("x", 505) + "\r\n250 " + strings.Repeat("x", 95) + "\r\n"},
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, tt := range appendTests {
		if got := string(tt.reply.Append([]byte("before"), tt.utf8OK)); got != "before"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.rule, got, tt.want)
		}
	}
	endless := Reply{550, "5.0.0", []string{strings.Repeat("x", 1<<20)}}
	if got := bytes.Count(endless.Append(nil, false), []byte("\n")); got != maxLines {
		t.Errorf("a text of 1 MB has %d lines, want %d", got, maxLines)
	}
}

// FuzzAppend holds that whatever text there is, one reply comes out, of lines
// that keep the limit, and that Read reads it.
func FuzzAppend(f *testing.F) {
	for _, tt := range appendTests {
		f.Add(tt.reply.Code, tt.reply.Enhanced, strings.Join(tt.reply.Lines, "\n"), tt.utf8OK)
	}
	f.Fuzz(func(t *testing.T, code int, enhanced, text string, utf8OK bool) {
		b := Of(&mail.Status{Code: code, Enhanced: enhanced, Text: text}).Append(nil, utf8OK)
		for line := range bytes.Lines(b) {
			if len(line) > MaxLine || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsAny(line[:len(line)-2], "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
			if !utf8.Valid(line) {
				t.Fatalf("line %q is not UTF-8", line)
			}
		}
		br := bufio.NewReader(bytes.NewReader(b))
		if _, err := Read(br); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if _, err := br.ReadByte(); err != io.EOF {
			t.Fatalf("%q is more than one reply", b)
		}
	})
}

// readTests are also the seeds of FuzzRead.
var readTests = []struct {
	rule, in string
	want     Reply
	err      error
}{
	{"one line", "250 2.1.0 Ok\r\n", Reply{250, "2.1.0", []string{"Ok"}}, nil},
	{"several lines", "250-mx\r\n250-starttls\r\n250 SIZE 10\r\n", Reply{250, "", []string{"mx", "starttls", "SIZE 10"}}, nil},
	{"enhanced code on each line", "550-5.7.1 a\r\n550 5.7.1 b\r\n", Reply{550, "5.7.1", []string{"a", "b"}}, nil},
	{"enhanced code of another class is text", "250 5.1.1 x\r\n", Reply{250, "", []string{"5.1.1 x"}}, nil},
	{"a code alone", "250\r\n", Reply{250, "", []string{""}}, nil},
	{"no text", "250 \r\n", Reply{250, "", []string{""}}, nil},
	{"a bare LF", "250-a\n250 b\n", Reply{250, "", []string{"a", "b"}}, nil},
	{"nothing", "", Reply{}, io.EOF},
	{"half a line", "250 O", Reply{}, io.ErrUnexpectedEOF},
	{"half a reply", "250-a\r\n", Reply{}, io.ErrUnexpectedEOF},
	{"another code", "250-a\r\n550 b\r\n", Reply{}, ErrMalformed},
	{"no code", "hello\r\n", Reply{}, ErrMalformed},
	{"a code of two digits", "25 x\r\n", Reply{}, ErrMalformed},
	{"a code of four digits", "2500 x\r\n", Reply{}, ErrMalformed},
	{"a code out of range", "199 x\r\n", Reply{}, ErrMalformed},
	{"an empty line", "\r\n", Reply{}, ErrMalformed},
	{"an endless line", "220 " + strings.Repeat("x", 1<<20), Reply{}, ErrTooLong},
	{"an endless reply", strings.Repeat("220-x\r\n", 1<<16), Reply{}, ErrTooLong},
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range readTests {
		got, err := Read(bufio.NewReaderSize(strings.NewReader(tt.in), 16))
		if !errors.Is(err, tt.err) || got.Code != tt.want.Code || got.Enhanced != tt.want.Enhanced || !slices.Equal(got.Lines, tt.want.Lines) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.rule, got, err, tt.want, tt.err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := Reply{550, "5.7.1", []string{"no", "thanks"}}
	if s := r.Status(); s.Code != 550 || s.Enhanced != "5.7.1" || s.Text != "no thanks" {
		t.Errorf("Status() = %+v", s)
	}
}

// endless is a peer that never stops; it counts what was taken from it.
type endless struct{ taken int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "220-\r\n"[(e.taken+i)%6]
	}
	e.taken += len(p)
	return len(p), nil
}

// TestEndlessReply holds that a peer cannot make us read for ever.
func TestEndlessReply(t *testing.T) {
	t.Parallel()
	e := &endless{}
	if _, err := Read(bufio.NewReader(e)); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
	if e.taken > 2*MaxReadTotal {
		t.Errorf("%d octets were read", e.taken)
	}
}

// FuzzRead holds that a reply that is read can be written and read again.
func FuzzRead(f *testing.F) {
	for _, tt := range readTests {
		if len(tt.in) < 1<<12 {
			f.Add([]byte(tt.in))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Read(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.Lines) == 0 {
			t.Fatalf("%q is read as %+v", in, r)
		}
		again, err := Read(bufio.NewReader(bytes.NewReader(r.Append(nil, true))))
		if err != nil || again.Code != r.Code {
			t.Fatalf("%+v is read as %+v, %v", r, again, err)
		}
	})
}
