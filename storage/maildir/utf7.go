package maildir

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 of RFC 3501 section 5.1.3: printable ASCII stands for itself,
// "&-" for "&", all else is UTF-16 in base64 with "," for "/" between "&" and
// "-".

const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

func utf7Base64() *base64.Encoding {
	return base64.NewEncoding(utf7Alphabet).WithPadding(base64.NoPadding).Strict()
}

func isDirect(c byte) bool { return ' ' <= c && c < 0x7f }

// encodeUTF7 writes valid UTF-8 in modified UTF-7.
func encodeUTF7(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if isDirect(s[i]) {
			b.WriteByte(s[i])
			if s[i] == '&' {
				b.WriteByte('-')
			}
			i++
			continue
		}
		end := i
		for end < len(s) && !isDirect(s[end]) {
			end++
		}
		b.WriteByte('&')
		b.WriteString(encodeRun(s[i:end]))
		b.WriteByte('-')
		i = end
	}
	return b.String()
}

func encodeRun(s string) string {
	var octets []byte
	for _, u := range utf16.Encode([]rune(s)) {
		octets = append(octets, byte(u>>8), byte(u))
	}
	return utf7Base64().EncodeToString(octets)
}

// decodeUTF7 reads modified UTF-7; false for anything that encodeUTF7 would
// not have written, so that every mailbox has one name.
func decodeUTF7(s string) (string, bool) {
	var b strings.Builder
	rest := s
	for {
		direct, coded, found := strings.Cut(rest, "&")
		b.WriteString(direct)
		if !found {
			break
		}
		run, after, closed := strings.Cut(coded, "-")
		if !closed {
			return "", false
		}
		text, ok := decodeRun(run)
		if !ok {
			return "", false
		}
		b.WriteString(text)
		rest = after
	}
	name := b.String()
	return name, utf8.ValidString(name) && encodeUTF7(name) == s
}

func decodeRun(run string) (string, bool) {
	if run == "" {
		return "&", true
	}
	octets, err := utf7Base64().DecodeString(run)
	if err != nil || len(octets)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(octets)/2)
	for i := range units {
		units[i] = uint16(octets[2*i])<<8 | uint16(octets[2*i+1])
	}
	return string(utf16.Decode(units)), true
}
