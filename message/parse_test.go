package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gomaild/internal/peertest"
)

func parse(t testing.TB, content string) *Summary {
	t.Helper()
	s, err := Parse(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// depth is how many entities hang below each other.
func depth(p *Part) int {
	deepest := 0
	for i := range p.Parts {
		deepest = max(deepest, depth(&p.Parts[i]))
	}
	return deepest + 1
}

func count(p *Part) int {
	n := 1
	for i := range p.Parts {
		n += count(&p.Parts[i])
	}
	return n
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	nestedMultipart := strings.Repeat("Content-Type: multipart/mixed; boundary=b\n\n--b\n", 20_000)
	for _, tt := range []struct {
		rule, content string
		check         func(s *Summary) bool
	}{
		{"20 000 nested message/rfc822 stop at the depth limit", strings.Repeat("Content-Type: message/rfc822\n\n", 20_000),
			func(s *Summary) bool { return depth(&s.Root) == maxDepth }},
		{"nested multiparts too", nestedMultipart, func(s *Summary) bool { return depth(&s.Root) <= maxDepth }},
		{"parts stop at the part limit", "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 50_000),
			func(s *Summary) bool { return count(&s.Root) == maxParts }},
		{"what is beyond the part limit belongs to the last part", "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", maxParts),
			func(s *Summary) bool {
				return s.Root.Parts[len(s.Root.Parts)-1].BodyWireSize > int64(len("x"))
			}},
		{"a long field is cut", "Subject: " + strings.Repeat("x", 1<<20) + "\n\n",
			func(s *Summary) bool { return len(s.Root.Envelope.Subject) < maxValue }},
		{"many long fields are cut", strings.Repeat("To: "+strings.Repeat("x", maxValue)+"\n", 100) + "\n",
			func(s *Summary) bool { return len(s.Root.Envelope.To) <= 100 }},
		{"addresses are limited", strings.Repeat("To: "+strings.Repeat("a@b,", 10_000)+"\n", 20) + "\n",
			func(s *Summary) bool { return len(s.Root.Envelope.To) == maxMailboxes }},
		{"100 000 fields", strings.Repeat("X: y\n", 100_000) + "Subject: s\n\n",
			func(s *Summary) bool { return s.Root.Envelope.Subject == "s" }},
		{"parameters are limited", "Content-Type: text/plain" + strings.Repeat("; a=b", 10_000) + "\n\n",
			func(s *Summary) bool { return len(s.Root.Params) == maxParams }},
		{"a line of 10 MB", "Subject: s\n\n" + strings.Repeat("x", 10<<20) + "\n",
			func(s *Summary) bool { return s.Root.BodyWireSize == 10<<20+2 && s.Root.BodyLines == 1 }},
		{"many lines that look like boundaries", "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--x\n", 300_000),
			func(s *Summary) bool { return len(s.Root.Parts) == 0 }},
		{"a comment that never ends", "From: " + strings.Repeat("(", 60_000) + "\n\n", func(*Summary) bool { return true }},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			if s := parse(t, tt.content); !tt.check(s) {
				t.Errorf("depth %d, %d parts, %+.300v", depth(&s.Root), count(&s.Root), s.Root)
			}
		})
	}
}

// TestNestedIsFast holds the promise that content cannot buy time: the work on
// 20 000 nested messages is that on as many octets of text, within reason.
func TestNestedIsFast(t *testing.T) {
	nested := strings.Repeat("Content-Type: message/rfc822\n\n", 20_000)
	if d := peertest.ThreadTime(t, func() { parse(t, nested) }); d > time.Second {
		t.Errorf("%d octets took %v", len(nested), d)
	}
}

// TestWindowEdges puts each line end on each side of the window's edge.
func TestWindowEdges(t *testing.T) {
	t.Parallel()
	for shift := -3; shift <= 3; shift++ {
		for _, eol := range []string{"\n", "\r\n"} {
			body := strings.Repeat("x", windowSize-len("A: b"+eol+eol)+shift) + eol + "y" + eol
			content := "A: b" + eol + eol + body
			s := parse(t, content)
			want := int64(len(body))
			if eol == "\n" {
				want += 2
			}
			if s.Root.BodyWireSize != want || s.Root.BodyLines != 2 {
				t.Errorf("shift %d, line end %q: %d octets, %d lines; want %d and 2", shift, eol, s.Root.BodyWireSize, s.Root.BodyLines, want)
			}
			wire, _ := io.ReadAll(NewWireReader(strings.NewReader(content), Span{Len: int64(len(content))}))
			if int64(len(wire)) != s.WireSize || bytes.Count(wire, []byte("\r\n")) != 4 {
				t.Errorf("shift %d, line end %q: wire form has %d octets, want %d", shift, eol, len(wire), s.WireSize)
			}
		}
	}
}

// faulty is content whose second half cannot be read.
type faulty struct {
	*strings.Reader
	err error
}

func (f faulty) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.Size()/2 {
		return 0, f.err
	}
	return f.Reader.ReadAt(p, off)
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad disk")
	c := faulty{strings.NewReader("Subject: x\n" + strings.Repeat("X: y\n", windowSize)), bad}
	if _, err := Parse(c); !errors.Is(err, bad) {
		t.Errorf("Parse: %v", err)
	}
	if _, _, err := HeaderFields(c, Span{Len: c.Size()}, []string{"x"}, false); !errors.Is(err, bad) {
		t.Errorf("HeaderFields: %v", err)
	}
	if _, err := ReadTrace(c); !errors.Is(err, bad) {
		t.Errorf("ReadTrace: %v", err)
	}
	if _, err := io.ReadAll(EditHeader(iotest.ErrReader(bad), nil)); !errors.Is(err, bad) {
		t.Errorf("EditHeader: %v", err)
	}
}

// FuzzParse holds that any octets parse, that spans lie within their parents
// and that every size is what the readers give.
func FuzzParse(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add([]byte(r.Content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c := bytes.NewReader(content)
		s, err := Parse(c)
		if err != nil {
			t.Fatal(err)
		}
		all := Span{Len: int64(len(content))}
		if n, _ := io.Copy(io.Discard, NewWireReader(c, all)); n != s.WireSize {
			t.Fatalf("WireSize %d, wire form has %d", s.WireSize, n)
		}
		checkPart(t, c, &s.Root, all, 0)
		s.Root.AppendBodyStructure(nil, true)
	})
}

func checkPart(t *testing.T, c Content, p *Part, within Span, level int) {
	if p.Header.Off < within.Off || p.Body.Off != p.Header.Off+p.Header.Len || p.Body.Off+p.Body.Len > within.Off+within.Len {
		t.Fatalf("level %d: header %v, body %v are not within %v", level, p.Header, p.Body, within)
	}
	if n, _ := io.Copy(io.Discard, NewWireReader(c, p.Header)); n != p.HeaderWireSize {
		t.Fatalf("level %d: header wire size %d, has %d", level, p.HeaderWireSize, n)
	}
	if n, _ := io.Copy(io.Discard, NewWireReader(c, p.Body)); n != p.BodyWireSize {
		t.Fatalf("level %d: body wire size %d, has %d", level, p.BodyWireSize, n)
	}
	if level < 5 {
		for i := range p.Parts {
			checkPart(t, c, &p.Parts[i], p.Body, level+1)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	multipart := "From: a@b.c\nTo: d@e.f, \"G, H\" <i@j.k>\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n" +
		"--b\nContent-Type: text/plain; charset=utf-8\n\nhello\n--b\nContent-Transfer-Encoding: base64\n\n"
	line := strings.Repeat("QUJD", 19) + "\n"
	for name, size := range map[string]int{"4KB": 4 << 10, "1MB": 1 << 20} {
		content := multipart + strings.Repeat(line, size/len(line)) + "--b--\n"
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				parse(b, content)
			}
		})
	}
}
