package authres

import (
	"bytes"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    string
		methods []Method
		want    string
	}{
		{"nothing was checked", nil, "Authentication-Results: mx.example.org; none\r\n"},
		{"methods and what they are about", []Method{
			{Name: "spf", Result: "pass", Properties: []Property{{"smtp.mailfrom", "a@example.com"}}},
			{Name: "dkim", Result: "fail", Reason: `bad "hash"`, Properties: []Property{{"header.d", "example.com"}, {"header.i", ""}, {"header.b", "ab+/cd"}}},
		}, "Authentication-Results: mx.example.org;\r\n\tspf=pass\r\n\t  smtp.mailfrom=a@example.com;\r\n" +
			"\tdkim=fail reason=\"bad \\\"hash\\\"\"\r\n\t  header.d=example.com\r\n\t  header.b=\"ab+/cd\"\r\n"},
		{"what would end the field", []Method{{Name: "spf", Result: "none", Properties: []Property{{"smtp.helo", "a\r\nX: y; dkim=pass"}}}},
			"Authentication-Results: mx.example.org;\r\n\tspf=none\r\n\t  smtp.helo=\"a??X: y; dkim=pass\"\r\n"},
	} {
		if got := string(Format("mx.example.org", tt.methods)); got != tt.want {
			t.Errorf("%s:\n%q\n%q", tt.rule, got, tt.want)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		" mx.example.org; spf=pass":                 true,
		" MX.Example.ORG 1; spf=pass":               true,
		"mx.example.org.; none":                     true,
		"(c) mx.example.org; dkim=pass":             true,
		"(a (nested \\) one) )mx.example.org(x);":   true,
		`"mx.example.org"; dkim=pass`:               true,
		`"mx.ex\ample.org"; dkim=pass`:              true,
		"\r\n\tmx.example.org;\r\n\tdkim=pass":      true,
		"(no end mx.example.com; dkim=pass":         true, // cannot be read
		"":                                          true,
		"mx.example.com; arc=pass (mx.example.org)": false,
		"notmx.example.org; spf=pass":               false,
	} {
		if got := Claims(text, "mx.example.org"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzAuthres(f *testing.F) {
	f.Add("(a) mx.example.org 1; x", "a\r\nb\"\\")
	f.Fuzz(func(t *testing.T, text, stranger string) {
		field := Format("mx.example.org", []Method{{Name: "spf", Result: "fail", Reason: stranger, Properties: []Property{{"smtp.helo", stranger}}}})
		for line := range bytes.SplitSeq(bytes.TrimSuffix(field, []byte("\r\n")), []byte("\r\n")) {
			if bytes.ContainsAny(line, "\r\n\x00") || !bytes.HasPrefix(line, []byte("\t")) && !bytes.HasPrefix(line, []byte(FieldName)) {
				t.Errorf("%q", field)
			}
		}
		_, value, _ := strings.Cut(string(field), ":")
		if !Claims(value, "mx.example.org") {
			t.Errorf("our own %q is not ours", field)
		}
		Claims(text, "mx.example.org")
	})
}
