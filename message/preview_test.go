package message

import (
	"strings"
	"testing"
)

// previews are what a person sees of a message in a list. Messages are written with
// LF here.
var previews = []struct{ rule, content, want string }{
	{"words on one line", "Subject: x\n\n  one\ttwo\n\n\x01three \n", "one two three"},
	{"an empty message", "Subject: x\n\n", ""},
	{"no empty line", "Subject: x\n", ""},
	{"200 characters, not octets", "Content-Type: text/plain; charset=utf-8\n\n" + strings.Repeat("é", 300), strings.Repeat("é", 200)},
	{"no blank at the end", "a: b\n\n" + strings.Repeat("x", 199) + " y", strings.Repeat("x", 199)},
	{"another character set", "Content-Type: text/plain; charset=iso-8859-1\n\ncaf\xe9\n", "café"},
	{"octets that mean nothing", "Content-Type: text/plain; charset=utf-8\n\na\xffb\n", "a\uFFFDb"},
	{"an encoding", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n", "hello"},
	{"what it answers is left out", "a: b\n\n> was asked\nanswer\n>> before\n", "answer"},
	{"HTML", "Content-Type: text/html\n\n<style>x</style><p>a&amp;b</p>\n", "a&b"},
	{"of alternatives the plain one", "Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/html\n\n<b>h</b>\n--x\n\nplain\n--x--\n", "plain"},
	{"no attachment", "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Disposition: attachment\n\nfile\n--x\n\ntext\n--x--\n", "text"},
	{"no text", "Content-Type: image/png\n\nxx\n", ""},
	{"text beyond 16 KiB is not looked for", "a: b\n\n" + strings.Repeat(" ", 17<<10) + "late", ""},
}

func TestPreview(t *testing.T) {
	t.Parallel()
	for _, tt := range previews {
		d := digest(t, tt.content)
		if got := string(d.Preview()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func BenchmarkPreview(b *testing.B) {
	for _, tt := range []struct{ name, content string }{
		{"plain", "Content-Type: text/plain; charset=utf-8\n\n" + strings.Repeat("Some words of a letter.\n", 150)},
		{"quoted-printable", "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("Some w=E9rds of a letter.\n", 150)},
		{"html", "Content-Type: text/html; charset=utf-8\n\n" + strings.Repeat("<p>Some <b>words</b> of a letter.</p>\n", 100)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s := parse(b, tt.content)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Preview(strings.NewReader(tt.content), &s.Root); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(tt.name+"/digest", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Digested(strings.NewReader(tt.content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
