package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

var headerTests = []struct{ rule, in, want string }{
	{"plain", "hello", "hello"},
	{"Q", "=?utf-8?Q?caf=C3=A9_x?=", "café x"},
	{"B", "=?UTF-8?b?0J/RgNC40LLQtdGC?=", "Привет"},
	{"blanks between two words go", "=?utf-8?Q?a?= \r\n =?utf-8?Q?b?=", "ab"},
	{"blanks to text stay", "x =?utf-8?Q?a?= y", "x a y"},
	{"a blank at the end stays", "=?utf-8?Q?a?= ", "a "},
	{"a character split between words", "=?utf-8?Q?=D0?= =?utf-8?Q?=9F?=", "П"},
	{"two charsets side by side", "=?utf-8?Q?=C3=A9?= =?iso-8859-1?Q?=E9?=", "éé"},
	{"KOI8-R", "=?koi8-r?B?8NLJ18XU?=", "Привет"},
	{"ISO-2022-JP", "=?ISO-2022-JP?B?GyRCJTUbKEI=?=", "サ"},
	{"language of RFC 2231", "=?utf-8*en?Q?a?=", "a"},
	{"unknown charset stays", "=?x-klingon?Q?a?= b", "=?x-klingon?Q?a?= b"},
	{"bad escape stays", "=?utf-8?Q?=ZZ?=", "=?utf-8?Q?=ZZ?="},
	{"bad base64 stays", "=?utf-8?B?a?=", "=?utf-8?B?a?="},
	{"padding missing", "=?utf-8?B?YQ?=", "a"},
	{"unknown encoding stays", "=?utf-8?X?a?=", "=?utf-8?X?a?="},
	{"not closed stays", "=?utf-8?Q?abc", "=?utf-8?Q?abc"},
	{"blanks inside a word", "=?utf-8?Q?a b?=", "a b"},
	{"word inside quotes", `"=?utf-8?Q?a?="`, `"a"`},
	{"question mark inside Q", "=?utf-8?Q?a?b?=", "a?b"},
	{"invalid UTF-8", "\xffa", "\uFFFDa"},
	{"raw UTF-8", "é", "é"},
	{"empty word", "x=?utf-8?Q??=y", "xy"},
}

func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range headerTests {
		if got := DecodeHeader(tt.in); got != tt.want {
			t.Errorf("%s: DecodeHeader(%q) = %q, want %q", tt.rule, tt.in, got, tt.want)
		}
	}
}

func FuzzDecodeHeader(f *testing.F) {
	for _, tt := range headerTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if got := DecodeHeader(in); !utf8.ValidString(got) {
			t.Fatalf("%q gives %q", in, got)
		}
	})
}

var bodyTests = []struct{ rule, encoding, in, want string }{
	{"base64", "base64", "aGVsbG8=", "hello"},
	{"base64 in lines, any case", "BASE64 ", "aGVs\r\nbG8=\r\n", "hello"},
	{"junk between characters", "base64", "aG*V-s b!G8=", "hello"},
	{"padding missing", "base64", "aGVsbG8", "hello"},
	{"one character left over", "base64", "aGVsb", "hel"},
	{"encoded pieces joined", "base64", "YQ==YmM=", "abc"},
	{"padding only", "base64", "====", ""},
	{"quoted-printable", "quoted-printable", "caf=C3=A9=\r\n!\r\n", "café!\r\n"},
	{"lower case hex", "quoted-printable", "=c3=a9", "é"},
	{"blanks at the line end go", "quoted-printable", "a \t\r\nb", "a\r\nb"},
	{"soft break with blanks", "quoted-printable", "a= \nb", "ab"},
	{"broken escape stays", "quoted-printable", "a=ZZ=4", "a=ZZ=4"},
	{"soft break at the end", "quoted-printable", "a=", "a"},
	{"7bit", "7bit", "a=41", "a=41"},
	{"unknown", "x-uuencode", "abc", "abc"},
}

func TestDecodeBody(t *testing.T) {
	t.Parallel()
	for _, tt := range bodyTests {
		for _, src := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			got, err := io.ReadAll(DecodeBody(src, tt.encoding))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %q gives %q, %v; want %q", tt.rule, tt.in, got, err, tt.want)
			}
		}
	}
	long := strings.Repeat("QUJD", 5000)
	if got, _ := io.ReadAll(DecodeBody(strings.NewReader(long), "base64")); string(got) != strings.Repeat("ABC", 5000) {
		t.Errorf("20 000 characters on one line give %d octets", len(got))
	}
	bad := errors.New("bad disk")
	for _, enc := range []string{"base64", "quoted-printable"} {
		if _, err := io.ReadAll(DecodeBody(iotest.ErrReader(bad), enc)); !errors.Is(err, bad) {
			t.Errorf("%s hides the reader's error: %v", enc, err)
		}
	}
}

func FuzzDecodeBody(f *testing.F) {
	for _, tt := range bodyTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, enc := range []string{"base64", "quoted-printable"} {
			got, err := io.ReadAll(DecodeBody(strings.NewReader(in), enc))
			if err != nil || len(got) > len(in) {
				t.Fatalf("%s of %q: %d octets, %v", enc, in, len(got), err)
			}
		}
	})
}

func TestCharsetReader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, charset, in, want string
		ok                      bool
	}{
		{"windows-1251", "windows-1251", "\xcf\xf0", "Пр", true},
		{"quoted name", `"ISO-8859-1"`, "\xe9", "é", true},
		{"none is UTF-8", "", "é", "é", true},
		{"unknown", "x-unknown", "\xe9", "\xe9", false},
		{"iso-2022-kr is refused by the WHATWG list", "iso-2022-kr", "a", "a", false},
	} {
		r, ok := CharsetReader(tt.charset, strings.NewReader(tt.in))
		got, _ := io.ReadAll(r)
		if string(got) != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tt.rule, got, ok, tt.want, tt.ok)
		}
	}
}

var dateTests = []struct{ rule, in, want string }{
	{"RFC 5322", "Mon, 06 Jan 2020 10:01:00 +0300", "2020-01-06T10:01:00+03:00"},
	{"no weekday, no seconds", "6 Jan 2020 10:01 -0530", "2020-01-06T10:01:00-05:30"},
	{"named zone", "Tue, 07 Jan 2020 00:00:00 GMT", "2020-01-07T00:00:00Z"},
	{"US zone", "7 Jan 2020 00:00:00 PDT", "2020-01-07T00:00:00-07:00"},
	{"zone in a comment too", "7 Jan 2020 00:00:00 +0000 (UTC)", "2020-01-07T00:00:00Z"},
	{"comment inside", "7 (seven) Jan 2020 00:00:00 +0000", "2020-01-07T00:00:00Z"},
	{"two-digit year", "7 Jan 49 00:00:00 +0000", "2049-01-07T00:00:00Z"},
	{"two-digit year of the last century", "7 Jan 50 00:00:00 +0000", "1950-01-07T00:00:00Z"},
	{"three-digit year", "7 Jan 120 00:00:00 +0000", "2020-01-07T00:00:00Z"},
	{"no zone", "7 Jan 2020 00:00:00", "2020-01-07T00:00:00Z"},
	{"leap second", "31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
	{"full month, hyphens", "7-January-2020 01:02:03 +0000", "2020-01-07T01:02:03Z"},
	{"nothing", "", ""},
	{"words", "next week at noon sharp", ""},
	{"no such month", "7 Foo 2020 00:00:00", ""},
	{"no such day", "32 Jan 2020 00:00:00", ""},
	{"no such hour", "7 Jan 2020 24:00:00", ""},
	{"negative", "-7 Jan 2020 00:00:00", ""},
	{"asctime order", "Mon Jan 6 10:01:00 2020", ""},
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, tt := range dateTests {
		got, err := ParseDate(tt.in)
		text := got.Format(time.RFC3339)
		if (err != nil) != (tt.want == "") || err == nil && text != tt.want {
			t.Errorf("%s: ParseDate(%q) = %s, %v; want %q", tt.rule, tt.in, text, err, tt.want)
		}
		if err != nil && !errors.Is(err, ErrDate) {
			t.Errorf("%s: %v is not ErrDate", tt.rule, err)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	for _, tt := range dateTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(_ *testing.T, in string) { _, _ = ParseDate(in) })
}

func FuzzParseAddressList(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add(parse(f, r.Content).Root.Envelope.Subject)
		if _, to, ok := strings.Cut(r.Content, "To: "); ok {
			f.Add(to)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		if got := ParseAddressList(in, 50); len(got) > 51 {
			t.Fatalf("%d entries", len(got))
		}
	})
}

func TestSection(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"ab\ncd\r\n\nef\n\n\r\rg\r\r\n\n", "a\r\nb\r\n", "\n", "", "no end"} {
		c := strings.NewReader(content)
		all := Span{Len: int64(len(content))}
		wire, _ := io.ReadAll(iotest.OneByteReader(NewWireReader(c, all)))
		if want := wireForm(content); string(wire) != want {
			t.Fatalf("%q: wire form %q, want %q", content, wire, want)
		}
		size := int64(len(wire))
		for off := int64(0); off <= size+1; off++ {
			for n := int64(-1); n <= size+1; n++ {
				got, err := io.ReadAll(Section(c, all, size, off, n))
				from := min(off, size)
				to := min(from+n, size)
				if n < 0 {
					to = size
				}
				if want := wire[from:to]; err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%q: section %d.%d is %q, %v; want %q", content, off, n, got, err, want)
				}
			}
		}
	}
}

// wireForm is the rule in its plainest form.
func wireForm(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// FuzzWireInto: all at once is what a reader gives.
func FuzzWireInto(f *testing.F) {
	f.Add("a\nb\r\n\n\r\r\nc\r", 0)
	f.Add("\n\n\n", 1)
	f.Fuzz(func(t *testing.T, stored string, wrong int) {
		want, err := io.ReadAll(NewWireReader(strings.NewReader(stored), Span{Len: int64(len(stored))}))
		if err != nil {
			t.Fatal(err)
		}
		span := Span{Len: int64(len(stored))}
		buf := make([]byte, len(want))
		n, err := WireInto(buf, strings.NewReader(stored), span)
		if err != nil || string(buf[:n]) != string(want) {
			t.Errorf("%q, %v, want %q", buf[:n], err, want)
		}
		buf = make([]byte, max(0, len(want)+wrong%10)) // sizes that were kept may be wrong
		if n, err := WireInto(buf, strings.NewReader(stored), span); err != nil || n > len(buf) {
			t.Error(n, err)
		}
	})
}

// FuzzAppendDecodedBody: all at once is what a reader gives.
func FuzzAppendDecodedBody(f *testing.F) {
	f.Add("a=3D=\nb =\r\n=\n=4\n==41 \t\n=")
	f.Fuzz(func(t *testing.T, body string) {
		for _, encoding := range []string{"7bit", "quoted-printable"} {
			want, err := io.ReadAll(DecodeBody(strings.NewReader(body), encoding))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := AppendDecodedBody(nil, []byte(body), encoding)
			if len(body) < 4000 && (!ok || string(got) != string(want)) {
				t.Errorf("%s: %q, want %q", encoding, got, want)
			}
		}
	})
}

func FuzzWireReader(f *testing.F) {
	f.Add("a\nb\r\nc\r\r\n\n", int64(2), int64(3))
	f.Fuzz(func(t *testing.T, content string, off, n int64) {
		want := wireForm(content)
		c := strings.NewReader(content)
		size := int64(len(want))
		got, err := io.ReadAll(Section(c, Span{Len: int64(len(content))}, size, off, n))
		from := min(max(off, 0), size)
		to := size
		if n >= 0 && n < size-from {
			to = from + n
		}
		if err != nil || string(got) != want[from:to] {
			t.Fatalf("%q %d.%d: %q, %v; want %q", content, off, n, got, err, want[from:to])
		}
	})
}

func TestFields(t *testing.T) {
	t.Parallel()
	content := "A: 1\nB : two\r\n  three\nnocolon\n\nX: body\n"
	var got []string
	for f, err := range Fields(strings.NewReader(content), Span{Len: int64(len(content))}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Name+"="+f.Text()+"="+content[f.Span.Off:f.Span.Off+f.Span.Len])
	}
	want := "A=1=A: 1\n|B=two  three=B : two\r\n  three\n|nocolon==nocolon\n"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%q, want %q", s, want)
	}
}

func TestEditHeader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	for _, tt := range []struct{ rule, in, add, want string }{
		{"fields are put first", "A: 1\r\n\r\nb", "R: x\r\n", "R: x\r\nA: 1\r\n\r\nb"},
		{"a field is removed with its folds, in any case", "gone: 1\r\n 2\r\nA: 1\r\nGONE : 3\r\n\r\nGone: body\r\n", "", "A: 1\r\n\r\nGone: body\r\n"},
		{"a long field is removed whole", "Gone: " + long + "\r\n\t" + long + "\r\nA: 1\r\n\r\n", "", "A: 1\r\n\r\n"},
		{"a long line is one field", "A: " + long + "Gone: \r\n\r\n", "", "A: " + long + "Gone: \r\n\r\n"},
		{"no empty line", "A: 1\r\nGone: 2", "", "A: 1\r\n"},
		{"nothing", "", "R: x\r\n", "R: x\r\n"},
		{"no header", "\r\nGone: x\r\n", "", "\r\nGone: x\r\n"},
		{"LF line ends", "Gone: 1\nA: 1\n\nGone: 2\n", "", "A: 1\n\nGone: 2\n"},
	} {
		got, err := io.ReadAll(EditHeader(iotest.OneByteReader(strings.NewReader(tt.in)), []byte(tt.add), "Gone"))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %.200q, %v; want %.200q", tt.rule, got, err, tt.want)
		}
	}
}

func TestReadTrace(t *testing.T) {
	t.Parallel()
	in := "Received: a\r\nreceived: b\r\nDelivered-To: <x@y>\r\nDate: d\r\nMessage-ID:\r\n <m@n>\r\n\r\nReceived: body\r\n"
	got, err := ReadTrace(strings.NewReader(in))
	if err != nil || got.Received != 2 || !got.HasDate || got.HasFrom || got.MessageID != "<m@n>" ||
		len(got.DeliveredTo) != 1 || got.DeliveredTo[0] != "<x@y>" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestJoined(t *testing.T) {
	t.Parallel()
	j := Joined{Head: []byte("head"), Tail: strings.NewReader("tail")}
	if err := iotest.TestReader(io.NewSectionReader(j, 0, j.Size()), []byte("headtail")); err != nil {
		t.Error(err)
	}
	if _, err := j.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is no error")
	}
}
