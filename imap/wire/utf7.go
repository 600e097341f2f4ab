package wire

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrUTF7 is returned for a name that is not in modified UTF-7.
var ErrUTF7 = errors.New("not modified UTF-7")

// utf7Alphabet is base64 with "," for "/" and without padding (RFC 3501
// section 5.1.3).
const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

func utf7Encoding() *base64.Encoding {
	return base64.NewEncoding(utf7Alphabet).WithPadding(base64.NoPadding).Strict()
}

func isDirect(r rune) bool { return r >= ' ' && r <= '~' && r != '&' }

// EncodeUTF7 turns UTF-8 into modified UTF-7.
func EncodeUTF7(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !isDirect(r) }) {
		return s
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexFunc(s, func(r rune) bool { return !isDirect(r) })
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		if s[0] == '&' {
			b.WriteString("&-")
			s = s[1:]
			continue
		}
		n := strings.IndexFunc(s, func(r rune) bool { return isDirect(r) || r == '&' })
		if n < 0 {
			n = len(s)
		}
		b.WriteString("&" + utf7Encoding().EncodeToString(utf16Bytes(s[:n])) + "-")
		s = s[n:]
	}
	b.WriteString(s)
	return b.String()
}

func utf16Bytes(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}

// DecodeUTF7 turns modified UTF-7 into UTF-8. It is strict, so that a mailbox
// has one name on the wire: what EncodeUTF7 would write otherwise is ErrUTF7,
// and so are control characters and unpaired surrogates; DEL may be shifted, as
// in names that Dovecot makes. Names already in
// UTF-8, which RFC 3501 does not allow, pass as they are: clients that send
// them mean what they say.
func DecodeUTF7(s string) (string, error) {
	var b strings.Builder
	eight := false
	for rest := s; rest != ""; {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			i = len(rest)
		}
		for _, r := range rest[:i] {
			if r < ' ' || r == 0x7F {
				return "", ErrUTF7
			}
			eight = eight || r >= 0x80
		}
		b.WriteString(rest[:i])
		if i == len(rest) {
			break
		}
		code, after, ok := strings.Cut(rest[i+1:], "-")
		if !ok {
			return "", ErrUTF7
		}
		if code == "" {
			code = "&"
		} else if code, ok = decodeShifted(code); !ok {
			return "", ErrUTF7
		}
		b.WriteString(code)
		rest = after
	}
	out := b.String()
	if !utf8.ValidString(out) || !eight && EncodeUTF7(out) != s {
		return "", ErrUTF7
	}
	return out, nil
}

// decodeShifted decodes what stands between "&" and "-".
func decodeShifted(code string) (string, bool) {
	raw, err := utf7Encoding().DecodeString(code)
	if err != nil || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	runes := utf16.Decode(units)
	for _, r := range runes {
		if r < ' ' || r == utf8.RuneError {
			return "", false
		}
	}
	return string(runes), true
}
