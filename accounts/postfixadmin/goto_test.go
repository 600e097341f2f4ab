package postfixadmin

import (
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
)

func addr(local, domain string) mail.Address { return mail.Address{Local: local, Domain: domain} }

var (
	alice = addr("alice", "example.com")
	bob   = addr("bob", "example.com")
)

var gotoTests = []struct {
	rule, in string
	want     []mail.Address
	refused  int
}{
	{"one", "alice@example.com", []mail.Address{alice}, 0},
	{"commas", "alice@example.com,bob@example.com", []mail.Address{alice, bob}, 0},
	{"blanks around commas", " alice@example.com , bob@example.com ", []mail.Address{alice, bob}, 0},
	{"CR LF after a comma", "alice@example.com,\r\nbob@example.com\n", []mail.Address{alice, bob}, 0},
	{"line ends only", "alice@example.com\r\nbob@example.com", []mail.Address{alice, bob}, 0},
	{"blanks only", "alice@example.com \tbob@example.com", []mail.Address{alice, bob}, 0},
	{"empty entries", ",alice@example.com,, ,bob@example.com,", []mail.Address{alice, bob}, 0},
	{"nothing", "", nil, 0},
	{"blanks and commas alone", " ,\n;", nil, 0},
	{"twice is the reader's business", "alice@example.com,alice@example.com", []mail.Address{alice, alice}, 0},
	{"display name", "Alice Display <alice@example.com>,bob@example.com", []mail.Address{alice, bob}, 0},
	{"display name with a comma in quotes", `"Display, Alice" <alice@example.com>`, []mail.Address{alice}, 0},
	{"display name that is an address", "bob@example.com <alice@example.com>", []mail.Address{alice}, 0},
	{"a line end ends the entry before a display name", "bob@example.com\nAlice <alice@example.com>", []mail.Address{bob, alice}, 0},
	{"after the angle bracket", "<alice@example.com> bob@example.com", []mail.Address{alice, bob}, 0},
	{"open angle bracket", "<alice@example.com", []mail.Address{alice}, 0},
	{"empty angle brackets", "<>,bob@example.com", []mail.Address{bob}, 0},
	{"comment", "alice@example.com (the (big) boss, really),bob@example.com", []mail.Address{alice, bob}, 0},
	{"comment with a quoted pair", `alice@example.com (a \) b)`, []mail.Address{alice}, 0},
	{"open comment", "alice@example.com (boss", []mail.Address{alice}, 0},
	{"case of the local part is kept", "Alice@Example.COM", []mail.Address{addr("Alice", "example.com")}, 0},
	{"U-labels become A-labels", "a@bücher.example", []mail.Address{addr("a", "xn--bcher-kva.example")}, 0},
	{"final dot of the domain goes", "alice@example.com.", []mail.Address{alice}, 0},
	{"another domain, same local part", "@example.com", []mail.Address{addr("", "example.com")}, 0},
	{"no domain", "root", []mail.Address{addr("root", "")}, 0},
	{"a command is a local part", `"|cat > /dev/null"`, []mail.Address{addr("|cat > /dev/null", "")}, 0},
	{"a file is a local part", "/dev/null", []mail.Address{addr("/dev/null", "")}, 0},
	{"an include is no address", ":include:/etc/passwd,bob@example.com", []mail.Address{addr(":include:/etc/passwd", ""), bob}, 0},
	{"quoted local part", `"a b"@example.com`, []mail.Address{addr("a b", "example.com")}, 0},
	{"quotes that are not needed", `"alice"@example.com`, []mail.Address{alice}, 0},
	{"quoted @ is no separator", `"a@b"@example.com`, []mail.Address{addr("a@b", "example.com")}, 0},
	{"quoted pair", `"a\"b"@example.com`, []mail.Address{addr(`a"b`, "example.com")}, 0},
	{"literal star", "*@example.com", []mail.Address{addr("*", "example.com")}, 0},
	{"vacation", "bob#example.com@autoreply.example.com", []mail.Address{addr("bob#example.com", "autoreply.example.com")}, 0},
	{"dots that RFC 5321 wants quoted", "a..b@example.com", []mail.Address{addr("a..b", "example.com")}, 0},

	{"empty domain", "alice@,bob@example.com", []mail.Address{bob}, 1},
	{"broken domain", "alice@exa_mple..com", nil, 1},
	{"control character", "al\x01ice@example.com,bob@example.com", []mail.Address{bob}, 1},
	{"not UTF-8", "al\xffice@example.com", nil, 1},
	{"local part over 128 octets", strings.Repeat("a", 129) + "@example.com", nil, 1},
	{"empty quotes", `""@example.com`, nil, 1},
	{"an open quote takes the rest", `"alice@example.com,bob@example.com`, []mail.Address{addr("alice@example.com,bob@example.com", "")}, 0},
	{"long list", strings.Repeat("alice@example.com,", 3000), slices.Repeat([]mail.Address{alice}, 3000), 0},
}

func TestParseGoto(t *testing.T) {
	t.Parallel()
	for _, tt := range gotoTests {
		got, refused := parseGoto(tt.in)
		if !slices.Equal(got, tt.want) || len(refused) != tt.refused {
			t.Errorf("%s: parseGoto(%.80q) = %q, refused %q; want %q and %d", tt.rule, tt.in, got, refused, tt.want, tt.refused)
		}
	}
}

// FuzzParseGoto holds that whatever the column holds, each entry is an address
// that prints on one line and reads back as itself.
func FuzzParseGoto(f *testing.F) {
	for _, tt := range gotoTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		list, refused := parseGoto(in)
		if len(list)+len(refused) > len(in) {
			t.Fatalf("%q gave more entries than octets", in)
		}
		for _, a := range list {
			if a.Local == "" && a.Domain == "" {
				t.Fatalf("%q gave an empty entry", in)
			}
			if strings.ContainsAny(a.String(), "\r\n\x00") {
				t.Fatalf("%q gave %q", in, a.String())
			}
		}
		again, refused := parseGoto(joined(list))
		if !slices.Equal(list, again) || len(refused) > 0 {
			t.Fatalf("%q reads as %q, which reads as %q", in, list, again)
		}
	})
}
