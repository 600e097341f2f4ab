package mail

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	// MaxLocalPart is twice what the RFC says a sender may count on: bounce
	// addresses that hold the recipient's (VERP, SRS) are longer than 64, and
	// "implementation techniques that impose no limits" are what it asks for.
	MaxLocalPart = 128
	MaxDomain    = 255
	MaxPath      = 254 // a path is 256 with its angle brackets
)

// ErrSyntax is wrapped by every error of ParseAddress: the text is not an
// RFC 5321 Mailbox. It is permanent (501 5.1.3, or 553 for a reverse-path).
var ErrSyntax = errors.New("malformed address")

// Address is an RFC 5321 Mailbox taken apart. Local holds the local part
// without quotes and backslashes, exactly as the client meant it. Domain is in
// lower case and in A-labels (xn--), so that two spellings of one domain
// compare equal. An address
// literal keeps its brackets. The zero Address is no address.
//
// Keep addresses in this form and print them with String: it quotes what
// needs quotes, so a local part that holds `>` or a blank can never change
// the meaning of a command or a header field.
type Address struct {
	Local  string
	Domain string
}

// postmaster is the one recipient that is valid without a domain (RFC 5321
// section 4.5.1).
var postmaster = Address{Local: "postmaster"}

// ParseAddress reads an RFC 5321 Mailbox (section 4.1.2): a dot-string or
// quoted-string local part and a domain or address literal. UTF-8 is taken as
// in RFC 6531; whether the session allows it is the caller's question (see
// NeedsUTF8). Control characters, blanks outside quotes, source routes,
// percent-tricks in the domain and anything over the limits are refused with
// ErrSyntax.
func ParseAddress(s string) (Address, error) {
	local, rest, err := cutLocalPart(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w: %w", s, ErrSyntax, err)
	}
	if !strings.HasPrefix(rest, "@") {
		return Address{}, fmt.Errorf("%q: %w: no @ after the local part", s, ErrSyntax)
	}
	domain, err := ParseDomain(rest[1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{Local: local, Domain: domain}
	if len(local) > MaxLocalPart || len(a.String()) > MaxPath {
		return Address{}, fmt.Errorf("%w: longer than RFC 5321 section 4.5.3.1 allows", ErrSyntax)
	}
	return a, nil
}

// ParseDomain reads the part after the @: a host name in A-labels or U-labels,
// or an address literal in brackets, and returns it in lower case with
// A-labels and without a final dot.
func ParseDomain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	d := strings.TrimSuffix(s, ".")
	if !isASCII(d) {
		a, err := idna.Lookup.ToASCII(d)
		if err != nil {
			return "", fmt.Errorf("domain %q: %w", s, ErrSyntax)
		}
		d = a
	}
	if d == "" || len(d) > MaxDomain {
		return "", fmt.Errorf("domain %q: %w", s, ErrSyntax)
	}
	for label := range strings.SplitSeq(d, ".") {
		if !isLabel(label) {
			return "", fmt.Errorf("domain %q: %w", s, ErrSyntax)
		}
	}
	return strings.ToLower(d), nil
}

// String writes the address as RFC 5321 wants it on the wire, without angle
// brackets: the local part is quoted when, and only when, it needs quotes. An
// address without a domain is its local part alone, one without a local part
// is "@domain" (as in alias tables).
func (a Address) String() string {
	local := a.Local
	if local != "" && !isDotString(local) {
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// IsZero reports that there is no address: what the null reverse-path holds.
func (a Address) IsZero() bool { return a == Address{} }

// IsPostmaster reports whether a is the bare <postmaster> that every server
// must take (RFC 5321 section 4.5.1), in any case of letters.
func (a Address) IsPostmaster() bool {
	return a.Domain == "" && strings.EqualFold(a.Local, postmaster.Local)
}

// Fold is the address as a key for look-ups: ASCII letters of the local part
// in lower case. Only ASCII is folded, so no two different mailboxes meet.
func (a Address) Fold() Address {
	return Address{Local: FoldASCII(a.Local), Domain: a.Domain}
}

// NeedsUTF8 reports whether the address can only travel with SMTPUTF8.
func (a Address) NeedsUTF8() bool { return !isASCII(a.Local) || !isASCII(a.Domain) }

// DSNForm is the address with its type, in ASCII, as notifications and ORCPT have
// it: "rfc822", or "utf-8" with \x{HEX} for what is not ASCII (RFC 6533 section 3).
func (a Address) DSNForm() (kind, text string) {
	if !a.NeedsUTF8() {
		return "rfc822", a.String()
	}
	var b strings.Builder
	for _, r := range a.String() {
		if r <= ' ' || r >= 0x7f || r == '\\' || r == '+' || r == '=' {
			fmt.Fprintf(&b, `\x{%X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return "utf-8", b.String()
}

// CutDetail splits the local part at the first delimiter octet: for '+',
// alice+lists is alice and lists. The second result is false when there is no
// delimiter, when nothing stands before it, or when delimiter is 0.
func (a Address) CutDetail(delimiter byte) (base Address, detail string, ok bool) {
	if delimiter == 0 {
		return a, "", false
	}
	i := strings.IndexByte(a.Local, delimiter)
	if i <= 0 {
		return a, "", false
	}
	return Address{Local: a.Local[:i], Domain: a.Domain}, a.Local[i+1:], true
}

// FoldASCII is s with A to Z in lower case and every other octet as it was.
func FoldASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return foldFrom(s, i)
		}
	}
	return s
}

func foldFrom(s string, i int) string {
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// cutLocalPart reads a dot-string or quoted-string from the head of s.
func cutLocalPart(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
	}
	i := strings.IndexByte(s, '@')
	if i < 0 {
		i = len(s)
	}
	if !isDotString(s[:i]) {
		return "", "", errors.New("local part is neither a dot-string nor quoted")
	}
	return s[:i], s[i:], nil
}

// cutQuoted reads RFC 5321 Quoted-string: qtextSMTP and quoted-pairSMTP only,
// so no control characters, not even behind a backslash.
func cutQuoted(s string) (content, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if !utf8.ValidString(b.String()) {
				return "", "", errors.New("local part is not UTF-8")
			}
			if b.Len() == 0 {
				return "", "", errors.New("empty local part")
			}
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s) && ' ' <= s[i+1] && s[i+1] < 0x7f:
			i++
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f || c == '\\':
			return "", "", errors.New("forbidden octet in the quoted local part")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("closing quote is missing")
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

func isDotString(s string) bool {
	if s == "" || !utf8.ValidString(s) {
		return false
	}
	for atom := range strings.SplitSeq(s, ".") {
		if !isAtom(atom) {
			return false
		}
	}
	return true
}

func isAtom(s string) bool {
	for i := range len(s) {
		if !isAtext(s[i]) {
			return false
		}
	}
	return s != ""
}

// isAtext is atext of RFC 5322 section 3.2.3 and UTF8-non-ascii of RFC 6531.
func isAtext(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isLabel takes what the DNS and postfixadmin take: letters, digits, inner
// hyphens, and underscores, which real host names hold.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
