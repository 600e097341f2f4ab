package reply

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// dotTests are also the seeds of FuzzDotReader.
var dotTests = []struct{ rule, in, content, rest string }{
	{"nothing", ".\r\n", "", ""},
	{"a line", "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n"},
	{"an empty line", "\r\n.\r\n", "\r\n", ""},
	{"stuffed dots", "..\r\n..a\r\n.b\r\n.\r\n", ".\r\n.a\r\nb\r\n", ""},
	{"a dot inside a line stays", "a.\r\n a.b\r\n.\r\n", "a.\r\n a.b\r\n", ""},
	{"LF.LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
	{"LF.CRLF", "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", ""},
	{"CRLF.LF", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
	{"CR.CR", "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", ""},
	{"CR.CRLF", "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", ""},
	{"CRLF.CR", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", ""},
	{"LF.CR", "a\n.\rb\r\n.\r\n", "a\n.\rb\r\n", ""},
	{"CR CRLF.CRLF ends", "a\r\r\n.\r\nNOOP", "a\r\r\n", "NOOP"},
	{"a stuffed dot, then CR CRLF", "..x\r\r\n.\r\nNOOP", ".x\r\r\n", "NOOP"},
	{"CRLF.CR CRLF does not end", "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", ""},
	{"NUL before the dot", "a\r\n\x00.\r\n.\r\n", "a\r\n\x00.\r\n", ""},
	{"NUL after the dot", "a\r\n.\x00\r\n.\r\n", "a\r\n\x00\r\n", ""},
	{"twice the end", "a\r\n.\r\n.\r\n", "a\r\n", ".\r\n"},
	{"a line longer than the buffer", strings.Repeat("x", 5000) + "\r\n.\r\n", strings.Repeat("x", 5000) + "\r\n", ""},
}

func TestDotReader(t *testing.T) {
	t.Parallel()
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"bytes": iotest.OneByteReader,
		"halfs": iotest.HalfReader,
	}
	for _, tt := range dotTests {
		for how, slow := range readers {
			br := bufio.NewReaderSize(slow(strings.NewReader(tt.in)), 16)
			got, err := io.ReadAll(NewDotReader(br))
			rest, _ := io.ReadAll(br)
			if string(got) != tt.content || err != nil || string(rest) != tt.rest {
				t.Errorf("%s, input in %s: content %q, rest %q, %v; want %q, %q", tt.rule, how, got, rest, err, tt.content, tt.rest)
			}
		}
		br := bufio.NewReader(strings.NewReader(tt.in))
		if got, err := io.ReadAll(iotest.OneByteReader(NewDotReader(br))); string(got) != tt.content || err != nil {
			t.Errorf("%s, read octet by octet: content %q, %v; want %q", tt.rule, got, err, tt.content)
		}
	}
}

func TestDotReaderCutOff(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", ".", ".\r", "a", "a\r", "a\r\n", "a\r\n.", "a\r\n.\r", "a\r\n.\r\r\n", "a\n.\n"} {
		d := NewDotReader(bufio.NewReader(strings.NewReader(in)))
		_, err := io.ReadAll(d)
		_, again := d.Read(make([]byte, 1))
		if err != io.ErrUnexpectedEOF || again != err {
			t.Errorf("%q: got %v, then %v, want ErrUnexpectedEOF twice", in, err, again)
		}
	}
}

// slowDot is RFC 5321 section 4.5.2 octet by octet, to compare with.
func slowDot(in string) (content, rest string, ended bool) {
	var b strings.Builder
	for {
		if strings.HasPrefix(in, ".\r\n") {
			return b.String(), in[3:], true
		}
		in = strings.TrimPrefix(in, ".")
		i := strings.Index(in, "\r\n")
		if i < 0 {
			return b.String() + in, "", false
		}
		b.WriteString(in[:i+2])
		in = in[i+2:]
	}
}

// FuzzDotReader compares with the definition, in pieces of all sizes.
func FuzzDotReader(f *testing.F) {
	for _, tt := range dotTests {
		f.Add(tt.in, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		br := bufio.NewReaderSize(strings.NewReader(in), 16)
		var got []byte
		p := make([]byte, int(size)+1)
		d := NewDotReader(br)
		var err error
		for err == nil {
			var n int
			n, err = d.Read(p)
			got = append(got, p[:n]...)
		}
		content, rest, ended := slowDot(in)
		if ended != (err == io.EOF) {
			t.Fatalf("%q: ended %v, err %v", in, ended, err)
		}
		left, _ := io.ReadAll(br)
		if ended && (string(got) != content || string(left) != rest) {
			t.Fatalf("%q: content %q, rest %q, want %q, %q", in, got, left, content, rest)
		}
	})
}

var lineEndTests = []struct {
	rule, in  string
	ok        bool
	lineStart bool
	afterCR   bool
}{
	{"nothing", "", true, true, false},
	{"lines", "a\r\n\r\nb\r\n", true, true, false},
	{"a last line without end", "a\r\nb", true, false, false},
	{"a CR at the end", "a\r", true, false, true},
	{"a bare LF", "a\nb", false, false, false},
	{"a bare LF first", "\n", false, false, false},
	{"a bare CR", "a\rb\r\n", false, false, false},
	{"CR CRLF", "a\r\r\n", false, false, false},
	{"CRLF LF", "a\r\n\n", false, false, false},
}

func TestLineEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range lineEndTests {
		for size := 1; size <= len(tt.in)+1; size++ {
			var l LineEnds
			var err error
			for in := []byte(tt.in); len(in) > 0 && err == nil; in = in[min(size, len(in)):] {
				err = l.Check(in[:min(size, len(in))])
			}
			if (err == nil) != tt.ok {
				t.Errorf("%s in pieces of %d: %v", tt.rule, size, err)
			}
			if tt.ok && (l.AtLineStart() != tt.lineStart || l.AfterCR() != tt.afterCR) {
				t.Errorf("%s in pieces of %d: line start %v, after CR %v", tt.rule, size, l.AtLineStart(), l.AfterCR())
			}
		}
	}
}

func TestDotWriter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, in, want string }{
		{"nothing", "", ".\r\n"},
		{"a line", "a\r\n", "a\r\n.\r\n"},
		{"a last line without end", "a", "a\r\n.\r\n"},
		{"dots", ".\r\n..a\r\nb.\r\n.", "..\r\n...a\r\nb.\r\n..\r\n.\r\n"},
	} {
		for size := 1; size <= len(tt.in)+1; size++ {
			var b bytes.Buffer
			d := NewDotWriter(&b)
			for in := tt.in; in != ""; in = in[min(size, len(in)):] {
				if _, err := io.WriteString(d, in[:min(size, len(in))]); err != nil {
					t.Fatalf("%s: %v", tt.rule, err)
				}
			}
			if err := d.Close(); err != nil || b.String() != tt.want {
				t.Errorf("%s in pieces of %d: %q, %v, want %q", tt.rule, size, b.String(), err, tt.want)
			}
		}
	}
}

// TestDotWriterRefuses holds that what could be taken for an end of data by a
// server that is less strict than ours is never sent.
func TestDotWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a\n.\nb", "a\r.\rb", "a\r\r\n.\r\n", "a\r"} {
		var b bytes.Buffer
		d := NewDotWriter(&b)
		_, err := io.WriteString(d, in)
		if closed := d.Close(); !errors.Is(closed, ErrBareLineEnd) {
			t.Errorf("%q: Write %v, Close %v, want ErrBareLineEnd", in, err, closed)
		}
		if strings.HasSuffix(b.String(), ".\r\n") {
			t.Errorf("%q: the content was ended: %q", in, b.String())
		}
	}
}

// FuzzDotWriter holds that what is written is read again, whatever it is.
func FuzzDotWriter(f *testing.F) {
	for _, tt := range dotTests {
		f.Add(tt.in, uint8(7))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		var b bytes.Buffer
		d := NewDotWriter(&b)
		for rest := in; rest != ""; {
			n := min(int(size)+1, len(rest))
			if _, err := io.WriteString(d, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		if d.Close() != nil {
			return
		}
		got, err := io.ReadAll(NewDotReader(bufio.NewReader(&b)))
		if strings.TrimSuffix(string(got), "\r\n") != strings.TrimSuffix(in, "\r\n") || err != nil {
			t.Fatalf("%q is read as %q, %v", in, got, err)
		}
	})
}
