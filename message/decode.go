package message

import (
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// CharsetReader turns text in a charset into UTF-8. Octets that mean nothing
// become U+FFFD. It is false for a charset nobody knows; r is then returned as
// it is. The empty name is US-ASCII (RFC 2045 section 5.2).
func CharsetReader(charset string, r io.Reader) (io.Reader, bool) {
	dec, ok := decoder(charset)
	if !ok {
		return r, false
	}
	return transform.NewReader(r, dec), true
}

// decoder finds a charset by any of the names that the WHATWG list knows.
func decoder(charset string) (*encoding.Decoder, bool) {
	charset = strings.Trim(charset, " '\"")
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5: language
	switch {
	case charset == "", strings.EqualFold(charset, "us-ascii"), strings.EqualFold(charset, "utf8"):
		charset = "utf-8" // a superset; unlabelled 8-bit text is mostly UTF-8
	}
	enc, err := htmlindex.Get(charset)
	if err != nil || enc == encoding.Replacement {
		return nil, false
	}
	return enc.NewDecoder(), true
}

// DecodeHeader is a field value as people read it: RFC 2047 encoded-words are
// decoded, blanks between two of them go. What cannot be decoded (unknown
// charset, broken encoding) stays as it stands; the result is always UTF-8.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var d headerDecoder
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, rest, ok := cutEncodedWord(s[i:])
		if !ok {
			d.text(s[:i+2])
			s = s[i+2:]
			continue
		}
		d.text(s[:i])
		d.word(w)
		s = rest
	}
	d.text(s)
	d.flush()
	return strings.ToValidUTF8(d.out.String(), "\uFFFD")
}

// encodedWord is `=?charset?encoding?text?=` taken apart.
type encodedWord struct {
	charset string
	data    string // decoded octets
}

// cutEncodedWord reads an encoded-word at the head of s. Blanks in its text
// are tolerated, other faults are not.
func cutEncodedWord(s string) (w encodedWord, rest string, ok bool) {
	charset, after, ok := strings.Cut(s[2:], "?")
	if !ok || charset == "" || strings.ContainsAny(charset, " \t\"()<>@") || len(charset) > 60 {
		return w, "", false
	}
	if len(after) < 2 || after[1] != '?' {
		return w, "", false
	}
	text, rest, ok := strings.Cut(after[2:], "?=")
	if !ok || strings.Contains(text, "=?") {
		return w, "", false
	}
	if !isUTF8(charset) {
		if _, known := decoder(charset); !known {
			return w, "", false
		}
	}
	w.charset = strings.ToLower(charset)
	switch after[0] {
	case 'q', 'Q':
		w.data, ok = decodeQ(text)
	case 'b', 'B':
		w.data, ok = decodeB(text)
	default:
		ok = false
	}
	return w, rest, ok
}

// headerDecoder joins the octets of adjacent words in one charset before it
// converts them: a character may be split between two words.
type headerDecoder struct {
	out     strings.Builder
	charset string
	pending strings.Builder
	isWord  bool   // the last thing was a word
	blanks  string // after that word, held back until it is known what follows
}

func (d *headerDecoder) text(s string) {
	switch {
	case s == "":
	case d.isWord && strings.Trim(s, " \t\r\n") == "":
		d.blanks = s
	default:
		d.flush()
		d.out.WriteString(s)
		d.isWord = false
	}
}

func (d *headerDecoder) word(w encodedWord) {
	d.blanks = ""
	if d.pending.Len() > 0 && d.charset != w.charset {
		d.flush()
	}
	d.charset = w.charset
	d.pending.WriteString(w.data)
	d.isWord = true
}

func (d *headerDecoder) flush() {
	if text := d.pending.String(); isUTF8(d.charset) && utf8.ValidString(text) {
		d.out.WriteString(text)
		d.pending.Reset()
	} else if text != "" {
		if dec, ok := decoder(d.charset); ok {
			s, _ := dec.String(text)
			d.out.WriteString(s)
		}
		d.pending.Reset()
	}
	d.out.WriteString(d.blanks)
	d.blanks = ""
}

// isUTF8 reports the names of UTF-8 that need no decoder, and of US-ASCII.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

func decodeB(text string) (string, bool) {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '=' {
			return -1
		}
		return r
	}, text)
	data, err := base64.RawStdEncoding.DecodeString(text)
	return string(data), err == nil
}

func decodeQ(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '_':
			b.WriteByte(' ')
		case '=':
			if i+2 >= len(text) {
				return "", false
			}
			hi, ok1 := hexDigit(text[i+1])
			lo, ok2 := hexDigit(text[i+2])
			if !ok1 || !ok2 {
				return "", false
			}
			b.WriteByte(hi<<4 | lo)
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
