package authres

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, text, want string }{
		{"what Format writes", string(Format("mx.test", []Method{
			{Name: "spf", Result: "pass", Reason: `a;b "c"`, Properties: []Property{{"smtp.mailfrom", "a;b@x.test"}}},
			{Name: "dmarc", Result: "fail"},
		}))[len(FieldName)+1:], `mx.test [{spf pass a;b "c" [{smtp.mailfrom a;b@x.test}]} {dmarc fail  []}]`},
		{"no results", " mx.test; none\r\n", "mx.test []"},
		{"a name alone", "mx.test", "mx.test []"},
		{"versions and comments", `mx.test 1; (a;b) DKIM/1 (x) = (y) PASS (good; key) header.d=(z)x.test; spf=none`, "mx.test [{dkim pass  [{header.d x.test}]} {spf none  []}]"},
		{"no name", "; dkim=pass", "error"},
		{"a comment without an end", "mx.test; dkim=pass (x", "error"},
		{"a quote without an end", `mx.test; dkim=pass reason="x`, "error"},
		{"no method's name", "mx.test; =pass", "error"},
	} {
		id, methods, err := Parse(tt.text)
		got := fmt.Sprint(id, " ", methods)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
	_, many, err := Parse("mx.test" + strings.Repeat("; a=b", 10*maxMethods))
	if err != nil || len(many) != maxMethods {
		t.Errorf("%d methods, %v", len(many), err)
	}
	_, wide, err := Parse("mx.test; a=b" + strings.Repeat(" c.d=e", 10*maxProperties))
	if err != nil || len(wide[0].Properties) != maxProperties || wide[0].Property("c.d") != "e" || wide[0].Property("x.y") != "" {
		t.Errorf("%d properties, %v", len(wide[0].Properties), err)
	}
}

// FuzzParse holds that what was read, written and read again is the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"mx.test; none", `a (b) 1; dkim=pass reason="x;y" header.d=z (c); spf=fail`, `"q\"x"; a/1=b`, "a;b=\"\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, methods, err := Parse(s)
		if err != nil || len(methods) == 0 {
			return
		}
		for _, m := range methods {
			if m.Name == "" || len(m.Properties) > maxProperties {
				t.Fatalf("%q: %+v", s, m)
			}
		}
		again, methods2, err := Parse(string(Format("mx.test", methods[:1]))[len(FieldName)+1:])
		plain := !strings.ContainsFunc(fmt.Sprint(methods[0]), func(r rune) bool { return r < ' ' || r > '~' }) && len(s) < maxValue &&
			!strings.ContainsAny(methods[0].Name+methods[0].Result, "();\"\\ =/,<>@[]") && methods[0].Result != ""
		for _, p := range methods[0].Properties {
			plain = plain && p.Value != "" && !strings.ContainsAny(p.Name, "();\"\\ =") && p.Name != "reason"
		}
		if plain && (err != nil || again != "mx.test" || !reflect.DeepEqual(methods2, methods[:1])) {
			t.Fatalf("%q of %q: %+v, then %+v, %v", s, id, methods[:1], methods2, err)
		}
	})
}
