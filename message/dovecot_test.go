package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// recording is a message and what Dovecot 2.3.19 answered for it, octets as
// Latin-1 characters. Ours holds the answers that are meant to differ, and Why
// says for which reason.
type recording struct {
	Rule    string            `json:"rule"`
	Content string            `json:"content"`
	Dovecot map[string]string `json:"dovecot"`
	Ours    map[string]string `json:"ours"`
	Why     string            `json:"why"`
}

func recordings(t testing.TB) []recording {
	t.Helper()
	b, err := os.ReadFile("../testdata/message/dovecot.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []recording
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].Content = string(fromLatin1(list[i].Content))
		for _, m := range []map[string]string{list[i].Dovecot, list[i].Ours} {
			for k, v := range m {
				m[k] = string(fromLatin1(v))
			}
		}
	}
	return list
}

func fromLatin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func TestAsDovecot(t *testing.T) {
	t.Parallel()
	for _, r := range recordings(t) {
		t.Run(r.Rule, func(t *testing.T) {
			t.Parallel()
			c := bytes.NewReader([]byte(r.Content))
			s, err := Parse(c)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{
				"RFC822.SIZE":   fmt.Sprint(s.WireSize),
				"ENVELOPE":      string(s.Root.Envelope.Append(nil)),
				"BODY":          string(s.Root.AppendBodyStructure(nil, false)),
				"BODYSTRUCTURE": string(s.Root.AppendBodyStructure(nil, true)),
				"BODY[HEADER]":  literal(t, Section(c, s.Root.Header, s.Root.HeaderWireSize, 0, -1)),
				"BODY[TEXT]":    literal(t, Section(c, s.Root.Body, s.Root.BodyWireSize, 0, -1)),
			}
			for k, not := range map[string]bool{"HEADER.FIELDS": false, "HEADER.FIELDS.NOT": true} {
				f, size, err := HeaderFields(c, s.Root.Header, []string{"Subject", "FROM"}, not)
				if err != nil {
					t.Fatal(err)
				}
				text := literal(t, f)
				got["BODY["+k+" (SUBJECT FROM)]"] = text
				if !strings.HasPrefix(text, fmt.Sprintf("{%d}", size)) {
					t.Errorf("size %d of %q", size, text)
				}
			}
			for k, v := range got {
				want, ours := r.Ours[k]
				if !ours {
					want = r.Dovecot[k]
				}
				if unliteral(v) != unliteral(want) {
					t.Errorf("%q\n%s\n got %q\nwant %q", r.Content, k, v, want)
				}
				if ours && (r.Why == "" || unliteral(v) == unliteral(r.Dovecot[k])) {
					t.Errorf("%q: %s differs from Dovecot without a reason, or no longer", r.Content, k)
				}
			}
		})
	}
}

// TestMaildirAsDovecot is the same on the Maildirs of a running installation.
func TestMaildirAsDovecot(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../testdata/message/maildir.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Content, Envelope, BodyStructure string }
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		s, err := Parse(bytes.NewReader(fromLatin1(r.Content)))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(s.Root.Envelope.Append(nil)), string(fromLatin1(r.Envelope)); unliteral(got) != unliteral(want) {
			t.Errorf("ENVELOPE\n got %q\nwant %q", got, want)
		}
		if got, want := string(s.Root.AppendBodyStructure(nil, true)), string(fromLatin1(r.BodyStructure)); unliteral(got) != unliteral(want) {
			t.Errorf("BODYSTRUCTURE\n got %q\nwant %q", got, want)
		}
	}
}

var literalForm = regexp.MustCompile(`\{(\d+)\}\r\n`)

// unliteral makes quoted strings of literals: which of the two forms a server
// chooses has no meaning.
func unliteral(s string) string {
	var b strings.Builder
	for {
		m := literalForm.FindStringSubmatchIndex(s)
		if m == nil {
			return b.String() + s
		}
		n, _ := strconv.Atoi(s[m[2]:m[3]])
		text := s[m[1]:min(m[1]+n, len(s))]
		b.WriteString(s[:m[0]] + `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(text) + `"`)
		s = s[m[1]+len(text):]
	}
}

func literal(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{%d}\r\n%s", len(b), b)
}
