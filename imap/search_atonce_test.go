package imap

import (
	"bytes"
	"testing"

	"gomaild/message"
)

type searched struct{ *bytes.Reader }

func (searched) Close() error { return nil }

// FuzzSearchAtOnce: a message that is searched at once has the text that it has
// when it is read piece by piece.
func FuzzSearchAtOnce(f *testing.F) {
	for _, seed := range [][2]string{
		{"Subject: a\n\tb: c\nX-Y :  z \n\nBody text\n", "a\tb"},
		{"Subject: x\r\n y\r\n\r\nBody\r\n", "x y"},
		{"Subject\n : x\n\n", "subject: : x"},
		{"\nbody", ": "},
		{"Subject: =?utf-8?q?caf=C3=A9?=\n\n", "café"},
		{"Content-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe", "grüße"},
		{"Content-Type: text/plain; charset=utf-16\n\na\x00b", "a"},
		{"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=\n=C3=9Fe \n", "grüße"},
		{"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nSGVsbG8gd29ybGQ=\n", "lo wor"},
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png; name=pixel\n\nxyz\n--b\n\nxyz\n", "xyz"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, stored, needle string) {
		if len(stored) > 4000 {
			return // lines that DecodeBody would cut
		}
		content := searched{bytes.NewReader([]byte(stored))}
		s, err := message.Parse(content)
		if err != nil {
			t.Fatal(err)
		}
		needle = fold(needle)
		for _, header := range []bool{false, true} {
			var found [2]bool
			for i := range found {
				search := newTextSearch(needle, header)
				search.content = content
				if i == 1 && search.atOnce {
					search.whole = []byte(stored)
				}
				if found[i], err = search.parts(&s.Root, 0); err != nil {
					t.Fatal(err)
				}
			}
			if found[0] != found[1] {
				t.Errorf("%q in %q, header %v: %v in pieces, %v at once", needle, stored, header, found[0], found[1])
			}
		}
	})
}
