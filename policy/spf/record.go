package spf

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"gomaild/mail"
)

// Faults of a record, each of which makes it a permanent error. The texts are
// for people.
var (
	errCharacter = errors.New("a character that no record may have")
	errTerm      = errors.New("unknown or malformed term")
	errTwice     = errors.New("a modifier stands twice")
	errDomain    = errors.New("malformed domain")
	errMacro     = errors.New("malformed macro")
	errPrefix    = errors.New("malformed address or prefix length")
)

// record is a policy (RFC 7208 section 4.6).
type record struct {
	mechanisms []mechanism
	redirect   string // domain-spec, "" for none
}

// mechanism is one that may match, and the result if it does.
type mechanism struct {
	result Result
	name   string // in lower case
	domain string // domain-spec, "" for that which is checked
	bits4  int    // of a and mx
	bits6  int
	prefix netip.Prefix // of ip4 and ip6
}

const version = "v=spf1"

// isRecord reports a TXT record that is a policy (section 4.5).
func isRecord(text string) bool {
	head, _, _ := strings.Cut(text, " ")
	return mail.FoldASCII(head) == version
}

// parseRecord reads all of a policy: a fault anywhere makes it one (section 4.6).
func parseRecord(text string) (*record, error) {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return nil, errCharacter
		}
	}
	r, seen := &record{}, map[string]bool{}
	for term := range strings.FieldsSeq(text[len(version):]) {
		name, value, isModifier := cutModifier(term)
		if !isModifier {
			m, err := parseMechanism(term)
			if err != nil {
				return nil, err
			}
			r.mechanisms = append(r.mechanisms, m)
			continue
		}
		if name != "redirect" && name != "exp" {
			if err := checkMacros(value, false); err != nil {
				return nil, err
			}
			continue
		}
		if seen[name] {
			return nil, errTwice
		}
		seen[name] = true
		if err := checkDomainSpec(value); err != nil {
			return nil, err
		}
		if name == "redirect" {
			r.redirect = value
		}
	}
	return r, nil
}

// cutModifier takes name=value apart (section 4.6.1): a name begins with a letter
// and has letters, digits, - _ and dots.
func cutModifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	if !ok || name == "" || !isLetter(name[0]) {
		return "", "", false
	}
	for _, c := range []byte(name) {
		if !isLetter(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return mail.FoldASCII(name), value, true
}

func parseMechanism(term string) (mechanism, error) {
	m := mechanism{result: Pass, bits4: 32, bits6: 128}
	if r, found := map[byte]Result{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}[term[0]]; found {
		m.result, term = r, term[1:]
	}
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	m.name = mail.FoldASCII(term[:end])
	rest, hasDomain := strings.CutPrefix(term[end:], ":")
	var err error
	switch m.name {
	case "all":
		if end < len(term) {
			err = errTerm
		}
		return m, err
	case "ip4", "ip6":
		if !hasDomain {
			return m, errTerm
		}
		m.prefix, err = parsePrefix(rest, m.name == "ip4")
		return m, err
	case "a", "mx":
		rest, err = m.readBits(rest)
	case "ptr":
		if !hasDomain && rest != "" {
			err = errTerm
		}
	case "include", "exists":
		if !hasDomain {
			err = errTerm
		}
	default:
		err = errTerm
	}
	if m.domain = rest; err != nil || !hasDomain {
		return m, err
	}
	return m, checkDomainSpec(rest)
}

// readBits takes /24//64 off the end of what follows a and mx (section 5.3).
func (m *mechanism) readBits(s string) (domain string, err error) {
	if head, bits, found := cutBits(s, "//"); found {
		if m.bits6, err = parseBits(bits, 128); err != nil {
			return "", err
		}
		s = head
	}
	if head, bits, found := cutBits(s, "/"); found {
		if m.bits4, err = parseBits(bits, 32); err != nil {
			return "", err
		}
		s = head
	}
	return s, nil
}

// cutBits cuts digits, and what stands before them, off the end. What is no
// number belongs to a domain, where it is not allowed at the end either.
func cutBits(s, mark string) (head, bits string, found bool) {
	head = strings.TrimRight(s, "0123456789")
	bits = s[len(head):]
	if head, found = strings.CutSuffix(head, mark); !found {
		return s, "", false
	}
	return head, bits, true
}

func parseBits(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n > most || len(s) > 1 && s[0] == '0' {
		return 0, errPrefix
	}
	return n, nil
}

func parsePrefix(s string, is4 bool) (netip.Prefix, error) {
	text, bits, hasBits := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() != is4 || a.Zone() != "" {
		return netip.Prefix{}, errPrefix
	}
	n := a.BitLen()
	if hasBits {
		if n, err = parseBits(bits, n); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(a, n), nil
}

// checkDomainSpec holds a domain-spec to section 7.1: macros and literals, and at
// the end a macro or a label that could be a top-level domain.
func checkDomainSpec(s string) error {
	if err := checkMacros(s, false); err != nil {
		return err
	}
	if endsInMacro(s) {
		return nil
	}
	s = strings.TrimSuffix(s, ".")
	if dot := strings.LastIndexByte(s, '.'); dot < 0 || !isTopLabel(s[dot+1:]) {
		return errDomain
	}
	return nil
}

// isTopLabel reports letters, digits and inner hyphens that are not digits alone.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	isNumber := true
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && c != '-' {
			return false
		}
		isNumber = isNumber && isDigit(c)
	}
	return !isNumber
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
