package message_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gomaild/message"
)

// TestParams is RFC 2231 sections 3, 4 and 4.1, and what programs write instead.
func TestParams(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ field, value, name, want string }{
		{`application/x-stuff; title*0="This is "; title*1="cut"; title*2=" in three"`, "application/x-stuff", "title", "This is cut in three"},
		{`text/plain; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A`, "text/plain", "TITLE", "This is ***fun***"},
		{`a/b; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn't it!"; title*0*=us-ascii'en'This%20is%20even%20more%20`, "a/b", "title", "This is even more ***fun*** isn't it!"},
		{`a/b; n*=iso-8859-1''gr%FC%DFe`, "a/b", "n", "grüße"},
		{`a/b; n*0*=utf-8''%C3; n*1*=%BC`, "a/b", "n", "ü"},
		{`a/b; n*=50%`, "a/b", "n", "50%"},
		{`attachment; filename="=?utf-8?Q?gr=C3=BC=C3=9Fe?="`, "attachment", "filename", "grüße"},
		{`attachment (really) ; filename=a b.txt`, "attachment", "filename", "a b.txt"},
		{`a/b; n=plain; n*=utf-8''better`, "a/b", "n", "better"},
		{`text / plain (c); x="a\"b;c"`, "text/plain", "x", `a"b;c`},
	} {
		value, params := message.ParseParams(tt.field)
		if got, ok := message.ParamText(params, tt.name); !ok || got != tt.want || value != tt.value {
			t.Errorf("%s: %q, %q, %v; want %q, %q", tt.field, value, got, ok, tt.value, tt.want)
		}
		if _, ok := message.ParamText(params, "absent"); ok {
			t.Errorf("%s: a parameter that is not there", tt.field)
		}
	}
}

// TestJoined: pieces in any order and any number are one parameter, or stay.
func TestJoined(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ field, want string }{
		{`a/b; x=1; n*1=b; y=2; N*0=a`, `("x" "1" "n" "ab" "y" "2")`},
		{`a/b; n*0=a; n*1*=%41`, `("n*" "''a%41")`},
		{`a/b; n*0*=utf-8''%C3; n*1="b c"`, `("n*" "utf-8''%C3b%20c")`},
		{`a/b; n*=utf-8''%C3; m*0=a`, `("n*" "utf-8''%C3" "m" "a")`},
		{`a/b; n*1=a; m*0=b; m*2=c`, `("n*1" "a" "m*0" "b" "m*2" "c")`},
		{`a/b; n*0=a; n*0=b; n*x=c`, `("n*0" "a" "n*0" "b" "n*x" "c")`},
	} {
		content := "Content-Type: " + tt.field + "\r\n\r\n"
		summary, err := message.Parse(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(summary.Root.AppendBodyStructure(nil, false)); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s; want %s", tt.field, got, tt.want)
		}
	}
}

// FuzzParams: any field gives UTF-8 and ends.
func FuzzParams(f *testing.F) {
	for _, s := range []string{`a/b; n*0=x; n*1*=%41`, `; n*=`, `a/b; n*=utf-16''%00`, `"/"/;n`, "a//b;;n*00=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, params := message.ParseParams(s)
		if text, _ := message.ParamText(params, "n"); !utf8.ValidString(text) {
			t.Errorf("%q: %q", s, text)
		}
	})
}
