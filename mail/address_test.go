package mail

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// addressTests are also the seeds of FuzzParseAddress. An empty want means
// that the address is refused.
var addressTests = []struct {
	rule, in string
	want     Address
	printed  string // what String gives, in if empty
}{
	{"plain", "alice@example.org", Address{"alice", "example.org"}, ""},
	{"domain folds, local part does not", "Alice@Example.ORG", Address{"Alice", "example.org"}, "Alice@example.org"},
	{"final dot of the domain goes", "a@example.org.", Address{"a", "example.org"}, "a@example.org"},
	{"all of atext", "!#$%&'*+-/=?^_`{|}~@x.test", Address{"!#$%&'*+-/=?^_`{|}~", "x.test"}, ""},
	{"quotes that are not needed go", `"alice"@example.org`, Address{"alice", "example.org"}, "alice@example.org"},
	{"quoted blank stays quoted", `"odd sender"@example.org`, Address{"odd sender", "example.org"}, ""},
	{"quoted angle bracket cannot end the path", `"a@b> NOTIFY=NEVER <c"@d.test`, Address{"a@b> NOTIFY=NEVER <c", "d.test"}, ""},
	{"quoted pair", `"a\"b\\c"@d.test`, Address{`a"b\c`, "d.test"}, ""},
	{"UTF-8 local part", "пользователь@example.org", Address{"пользователь", "example.org"}, ""},
	{"U-label becomes A-label", "a@bücher.example", Address{"a", "xn--bcher-kva.example"}, "a@xn--bcher-kva.example"},
	{"IPv4 literal", "a@[192.0.2.1]", Address{"a", "[192.0.2.1]"}, ""},
	{"IPv6 literal in one spelling", "a@[ipv6:2001:DB8::0:1]", Address{"a", "[IPv6:2001:db8::1]"}, "a@[IPv6:2001:db8::1]"},
	{"local part of 128 octets", strings.Repeat("a", 128) + "@x.test", Address{strings.Repeat("a", 128), "x.test"}, ""},

	{"local part of 129 octets", strings.Repeat("a", 129) + "@x.test", Address{}, ""},
	{"path over 254 octets", "aaaaaaaa@" + strings.Repeat("abcdefg.", 31) + "x", Address{}, ""},
	{"nothing", "", Address{}, ""},
	{"no domain", "alice", Address{}, ""},
	{"empty domain", "alice@", Address{}, ""},
	{"empty local part", "@example.org", Address{}, ""},
	{"empty quoted local part", `""@example.org`, Address{}, ""},
	{"leading dot", ".a@example.org", Address{}, ""},
	{"double dot", "a..b@example.org", Address{}, ""},
	{"double dot in the domain", "a@example..org", Address{}, ""},
	{"blank", "a b@example.org", Address{}, ""},
	{"trailing blank", "a@example.org ", Address{}, ""},
	{"two @", "a@b@example.org", Address{}, ""},
	{"control characters", "a@\x01\x02", Address{}, ""},
	{"NUL in quotes", "\"a\x00\"@x.test", Address{}, ""},
	{"CR LF in quotes", "\"a\r\nRCPT\"@x.test", Address{}, ""},
	{"CR behind a backslash", "\"a\\\r\"@x.test", Address{}, ""},
	{"angle brackets", "<a@example.org>", Address{}, ""},
	{"source route", "@hop.test:a@example.org", Address{}, ""},
	{"broken UTF-8", "\xff@example.org", Address{}, ""},
	{"broken UTF-8 in quotes", "\"\xff \"@example.org", Address{}, ""},
	{"label ends in a hyphen", "a@b-.test", Address{}, ""},
	{"open literal", "a@[192.0.2.1", Address{}, ""},
	{"IPv6 literal without its tag", "a@[2001:db8::1]", Address{}, ""},
	{"IPv4 with the IPv6 tag", "a@[IPv6:192.0.2.1]", Address{}, ""},
	{"zone in a literal", "a@[IPv6:fe80::1%eth0]", Address{}, ""},
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range addressTests {
		got, err := ParseAddress(tt.in)
		if got != tt.want || (err == nil) != (tt.want != Address{}) {
			t.Errorf("%s: ParseAddress(%q) = %+v, %v; want %+v", tt.rule, tt.in, got, err, tt.want)
		}
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Errorf("%s: error %v is not ErrSyntax", tt.rule, err)
			}
			continue
		}
		printed := tt.printed
		if printed == "" {
			printed = tt.in
		}
		if got.String() != printed {
			t.Errorf("%s: String() = %q, want %q", tt.rule, got.String(), printed)
		}
	}
}

// FuzzParseAddress holds that what is accepted can be printed and read again,
// and that the printed form cannot break out of `<...>` on a line.
func FuzzParseAddress(f *testing.F) {
	for _, tt := range addressTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			return
		}
		s := a.String()
		if strings.ContainsAny(s, "\r\n\x00") || len(s) > MaxPath {
			t.Fatalf("%q prints as %q", in, s)
		}
		if again, err := ParseAddress(s); err != nil || again != a {
			t.Fatalf("%q prints as %q, which reads as %+v, %v; want %+v", in, s, again, err, a)
		}
	})
}

func TestAddressForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		a    Address
		want string
	}{
		{"the zero address is empty", Address{}, ""},
		{"no domain", Address{Local: "Postmaster"}, "Postmaster"},
		{"a whole domain, as in alias tables", Address{Domain: "example.org"}, "@example.org"},
	} {
		if got := tt.a.String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
	if !(Address{Local: "PostMaster"}).IsPostmaster() || (Address{Local: "postmaster", Domain: "x"}).IsPostmaster() {
		t.Error("IsPostmaster is for the bare word only")
	}
	if got := (Address{"ÀliCE", "x.test"}).Fold().Local; got != "Àlice" {
		t.Errorf("Fold gave %q: only ASCII letters may change", got)
	}
	if !(Address{"é", "x"}).NeedsUTF8() || (Address{"e", "x"}).NeedsUTF8() {
		t.Error("NeedsUTF8 is about octets above 127")
	}
}

func TestCutDetail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, local  string
		delimiter    byte
		base, detail string
		ok           bool
	}{
		{"the first delimiter counts", "alice+a+b", '+', "alice", "a+b", true},
		{"empty detail", "alice+", '+', "alice", "", true},
		{"nothing before it", "+alice", '+', "+alice", "", false},
		{"none", "alice", '+', "alice", "", false},
		{"switched off", "alice+a", 0, "alice+a", "", false},
	} {
		base, detail, ok := Address{tt.local, "x.test"}.CutDetail(tt.delimiter)
		if base != (Address{tt.base, "x.test"}) || detail != tt.detail || ok != tt.ok {
			t.Errorf("%s: %v, %q, %v", tt.rule, base, detail, ok)
		}
	}
}

func TestAddrLiteral(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":        "[192.0.2.1]",
		"::ffff:192.0.2.1": "[192.0.2.1]",
		"2001:db8::1":      "[IPv6:2001:db8::1]",
		"fe80::1%eth0":     "[IPv6:fe80::1]",
	} {
		if got := AddrLiteral(netip.MustParseAddr(in)); got != want {
			t.Errorf("AddrLiteral(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestDSNForm(t *testing.T) {
	t.Parallel()
	for a, want := range map[Address]string{
		{"alice+x", "example.org"}: "rfc822;alice+x@example.org",
		{"ü+x", "bücher.test"}:     `utf-8;\x{FC}\x{2B}x@b\x{FC}cher.test`,
	} {
		if kind, text := a.DSNForm(); kind+";"+text != want {
			t.Errorf("%s: %s;%s, want %s", a, kind, text, want)
		}
	}
}
