package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// digest makes and reads one, and holds it against the message itself.
func digest(t testing.TB, content string) Digest {
	t.Helper()
	octets, err := Digested(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDigest(octets)
	if err != nil {
		t.Fatalf("%v: %q", err, octets)
	}
	s := parse(t, content)
	for _, text := range []struct {
		name      string
		got, want []byte
	}{
		{"ENVELOPE", d.Envelope(), s.Root.Envelope.Append(nil)},
		{"BODYSTRUCTURE", d.BodyStructure(), s.Root.AppendBodyStructure(nil, true)},
		{"BODY", d.AppendBody(nil), s.Root.AppendBodyStructure(nil, false)},
	} {
		if !bytes.Equal(text.got, text.want) {
			t.Errorf("%s is %q, want %q", text.name, text.got, text.want)
		}
	}
	if preview, err := Preview(strings.NewReader(content), &s.Root); err != nil || string(d.Preview()) != preview {
		t.Errorf("preview is %q, want %q, %v", d.Preview(), preview, err)
	}
	if d.WireSize() != s.WireSize || !d.Sent().Equal(s.Date) {
		t.Errorf("size %d, sent %v, want %d, %v", d.WireSize(), d.Sent(), s.WireSize, s.Date)
	}
	root, err := d.Structure()
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, root, &s.Root)
	sameFields(t, &d, content, s.Root.Header)
	return d
}

func sameTree(t testing.TB, got, want *Part) {
	t.Helper()
	if got.Header != want.Header || got.Body != want.Body || got.HeaderWireSize != want.HeaderWireSize || got.BodyWireSize != want.BodyWireSize || got.BodyLines != want.BodyLines {
		t.Errorf("part is %+v, want %+v", got, want)
	}
	for _, words := range [][2]string{
		{got.Type, want.Type}, {got.Subtype, want.Subtype}, {got.Encoding, want.Encoding}, {got.Disposition, want.Disposition},
		{param(got.Params, "charset"), param(want.Params, "charset")},
	} {
		if !strings.EqualFold(words[0], words[1]) {
			t.Errorf("part says %q, want %q", words[0], words[1])
		}
	}
	if len(got.Parts) != len(want.Parts) {
		t.Fatalf("%d parts, want %d", len(got.Parts), len(want.Parts))
	}
	for i := range got.Parts {
		sameTree(t, &got.Parts[i], &want.Parts[i])
	}
}

// sameFields holds the kept fields, each and all of them together, against the
// header's own.
func sameFields(t testing.TB, d *Digest, content string, header Span) {
	t.Helper()
	if !d.HasFields() {
		return
	}
	sets := [][]string{keptNames[1:]}
	for i := range keptNames[1:] {
		sets = append(sets, keptNames[i+1:i+2])
	}
	for _, names := range sets {
		var set FieldSet
		for _, name := range names {
			if !set.Add(strings.ToUpper(name)) {
				t.Fatalf("%s is not kept", name)
			}
		}
		r, _, err := HeaderFields(strings.NewReader(content), header, names, false)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.AppendFields(nil, set); !bytes.Equal(got, want) {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
	first := map[KeptField]bool{}
	for f, err := range Fields(strings.NewReader(content), header) {
		if err != nil {
			t.Fatal(err)
		}
		kept := Kept(f.Name)
		if kept == 0 || first[kept] {
			continue
		}
		first[kept] = true
		if text, _ := d.Field(kept); text != f.Text() {
			t.Errorf("%s is %q, want %q", f.Name, text, f.Text())
		}
	}
}

var digestExamples = []string{
	"",
	"\n",
	"Subject: x",
	"Subject: x\n",
	"Subject: \xff\n folded\n\tagain\nsubject : second\nFrom: a@b\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\n\nbody\n",
	"Date: 1 Jan 2020 00:00:00 +9959\n\n",
	"SuBjeCt\n no: colon\n\n",
	" From: none\nTo: x\n\n",
	"References: <a@b>\n\t<c@d>\nList-Id: <l>\nX-Other: y\nSubject:\n\n",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html; charset=koi8-r\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=x\nContent-Language: de\n\nx\n--b\nContent-Type: message/rfc822\nContent-MD5: x\n\nSubject: inner\nContent-Type: multipart/x\n\ny\n--b--\n",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nx\n--b\nContent-Type: application/x-odd\n\ny\n",
	"Subject: nul\x00\n\n",
	"Subject: " + strings.Repeat("long ", 20_000) + "\n\n",
}

func TestDigest(t *testing.T) {
	t.Parallel()
	for _, content := range digestExamples {
		digest(t, content)
	}
}

func TestDigestLimits(t *testing.T) {
	t.Parallel()
	if len(keptNames) > 64 {
		t.Errorf("%d kept fields, a FieldSet has 64", len(keptNames))
	}
	for _, tt := range []struct {
		rule, content string
		complete      bool
	}{
		{"a header without an empty line is not shown from the digest", "Subject: x\n", false},
		{"nor one with NUL", "Subject: x\x00\n\n", false},
		{"nor one of more than 64 KiB", "X: " + strings.Repeat("x\n ", 32<<10) + "\n\n", false},
		{"nor more than 16 KiB of kept fields", strings.Repeat("Subject: x\n", 2000) + "\n", false},
		{"but any other", "Subject: x\nX: " + strings.Repeat("x", 16<<10) + "\n\n", true},
	} {
		if d := digest(t, tt.content); d.HasFields() != tt.complete {
			t.Errorf("%s: %v", tt.rule, d.HasFields())
		}
	}
	deep := strings.Repeat("Content-Type: message/rfc822\n\n", 2*maxDepth)
	digest(t, deep)
}

// FuzzDigested: whatever a message is, its digest says the same.
func FuzzDigested(f *testing.F) {
	for _, content := range digestExamples {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content string) { digest(t, content) })
}

// FuzzParseDigest: whatever octets there are, reading them ends, within memory
// of their number.
func FuzzParseDigest(f *testing.F) {
	for _, content := range digestExamples {
		octets, err := Digested(strings.NewReader(content))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(octets)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		d, err := ParseDigest(octets)
		if err != nil {
			if !errors.Is(err, ErrDigest) {
				t.Fatal(err)
			}
			return
		}
		if n := len(d.AppendBody(nil)); n > len(octets) {
			t.Errorf("BODY of %d octets out of %d", n, len(octets))
		}
		d.Sent()
		d.Field(KeptSubject)
		d.AppendFields(nil, ^FieldSet(0))
		if root, err := d.Structure(); err == nil && count(root) > len(octets) {
			t.Errorf("%d parts out of %d octets", count(root), len(octets))
		}
	})
}
