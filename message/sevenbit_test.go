package message

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func wire(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestSevenBit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, in, want string }{
		{"7-bit already", "Subject: x\n\nplain =E9\n", "Subject: x\n\nplain =E9\n"},
		{"a text", "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nSubject: x\n\nGr\xc3\xbc\xc3\x9fe = x \n.\n",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nSubject: x\n\nGr=C3=BC=C3=9Fe =3D x=20\n.\n"},
		{"without MIME", "Subject: x\n\n\xe9\n", "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n"},
		{"a part of several", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\npreamble\n--b\n\nplain\n" +
			"--b\nContent-Type: image/x\ncontent-transfer-encoding: BINARY\n\n\xff\xfe\n--b\nContent-Type: text/html\n\n<b>\xe9</b>\n--b--\nepilogue\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\n\npreamble\n--b\n\nplain\n" +
				"--b\nContent-Type: image/x\nContent-Transfer-Encoding: base64\n\n//4=\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<b>=E9</b>\n--b--\nepilogue\n"},
		{"a message in it", "MIME-Version: 1.0\nContent-Type: message/rfc822\n\nSubject: inner\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\n\xe9",
			"MIME-Version: 1.0\nContent-Type: message/rfc822\n\nSubject: inner\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=E9"},
		{"a signed part", "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: text/plain\n\n\xe9\n--b--\n", ""},
		{"a signed part that is 7-bit beside", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b--\n--a\nContent-Type: text/plain\n\n\xe9\n--a--\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b--\n--a\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n--a--\n"},
		{"a field", "Subject: \xe9\n\nx\n", ""},
		{"a preamble", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\xe9\n--b\n\nx\n--b--\n", ""},
		{"a wrong label", "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n\xe9\n", ""},
		{"a delivery status", "MIME-Version: 1.0\nContent-Type: message/delivery-status\n\nX: \xe9\n", ""},
	} {
		c, err := SevenBit(strings.NewReader(wire(tt.in)))
		if tt.want == "" {
			if !errors.Is(err, ErrEightBit) {
				t.Errorf("%s: %v", tt.rule, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if got := readAll(t, c); got != wire(tt.want) {
			t.Errorf("%s: got\n%q, want\n%q", tt.rule, got, wire(tt.want))
		}
	}
	nested := strings.Repeat("MIME-Version: 1.0\nContent-Type: message/rfc822\n\n", 1000) + "Subject: x\n\n\xe9\n"
	if _, err := SevenBit(strings.NewReader(wire(nested))); !errors.Is(err, ErrEightBit) {
		t.Errorf("nested a thousand deep: %v", err)
	}
}

func readAll(t testing.TB, c Content) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzSevenBit holds that what is converted is 7-bit, converts to itself, and has as many
// parts as before.
func FuzzSevenBit(f *testing.F) {
	f.Add("Content-Type: multipart/mixed; boundary=b\n\n\n--b\n\n\xe9\n--b\nContent-Type: image/x\n\n\xff\n--b--\n")
	f.Add("Content-Type: message/rfc822\n\nSubject: x\n\n\xe9")
	f.Add("\n\xe9")
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.NewReader(wire(strings.ReplaceAll(text, "\r", "")))
		c, err := SevenBit(in)
		if err != nil {
			return
		}
		out := readAll(t, c)
		if isEight([]byte(out)) {
			t.Fatalf("8-bit: %q", out)
		}
		again, err := SevenBit(strings.NewReader(out))
		if err != nil || readAll(t, again) != out {
			t.Fatalf("converts again: %v", err)
		}
		before, err := Parse(in)
		if err != nil {
			return
		}
		after, err := Parse(strings.NewReader(out))
		if err != nil || count(&before.Root) != count(&after.Root) {
			t.Fatalf("%d parts become %d, %v: %q", count(&before.Root), count(&after.Root), err, out)
		}
	})
}
