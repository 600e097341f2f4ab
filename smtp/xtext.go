package smtp

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var errXtext = errors.New("malformed xtext")

// decodeXtext decodes RFC 3461 section 4: printable octets stand for
// themselves, "+" and two upper-case hexadecimal digits for any octet. What it
// decodes to will stand in header fields and DSNs one day, so control
// characters and what is not UTF-8 are refused.
func decodeXtext(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", errXtext
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return "", errXtext
			}
			c = byte(hi<<4 | lo)
			i += 2
			if c < ' ' || c == 0x7f {
				return "", errXtext
			}
		} else if c <= ' ' || c == '=' || c == 0x7f {
			return "", errXtext
		}
		b.WriteByte(c)
	}
	if !utf8.ValidString(b.String()) {
		return "", errXtext
	}
	return b.String(), nil
}

// hexDigit takes lower case too, which RFC 3461 does not and clients write.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
