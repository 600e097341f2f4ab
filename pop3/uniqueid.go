package pop3

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gomaild/storage"
)

// DefaultUniqueIDs is the format of the deployment, and of Dovecot's own
// example configuration.
const DefaultUniqueIDs = "%08Xu%08Xv"

// maxUniqueID is what RFC 1939 section 7 allows, in octets.
const maxUniqueID = 70

// UniqueIDFormat is how a unique-id is made, in the words of Dovecot's
// pop3_uidl_format: %u is the UID, %v UIDVALIDITY, %f the base name of the
// file, %g the same as GUID. Between % and the letter may stand a width with a
// leading 0, and X for hexadecimal, whose digits are lower case as Dovecot's
// are in spite of the capital.
type UniqueIDFormat struct{ parts []part }

// part is literal text, or a variable.
type part struct {
	text     string
	variable byte // 'u', 'v', 'f', 'g'; 0 for text
	width    int
	hex      bool
}

// ParseUniqueIDFormat reads a format. Its error says what would be right.
func ParseUniqueIDFormat(s string) (UniqueIDFormat, error) {
	var f UniqueIDFormat
	tells := false // which message it is
	for rest := s; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i != 0 {
			if i < 0 {
				i = len(rest)
			}
			f.parts = append(f.parts, part{text: rest[:i]})
			rest = rest[i:]
			continue
		}
		p, after, err := parseVariable(rest[1:])
		if err != nil {
			return UniqueIDFormat{}, fmt.Errorf("%q: %w", s, err)
		}
		tells = tells || p.variable == 'u' || p.variable == 'f' || p.variable == 'g'
		f.parts = append(f.parts, p)
		rest = after
	}
	if !tells {
		return UniqueIDFormat{}, fmt.Errorf("%q: %w", s, errSame)
	}
	return f, checkText(f)
}

// What is wrong with a format.
var (
	errSame     = errors.New("needs %u, %f or %g: all messages would have the same unique-id")
	errVariable = errors.New("after % comes an optional width, an optional X, and one of u v f g %")
	errText     = errors.New("a unique-id has only characters from ! to ~ (RFC 1939 section 7)")
	errWidth    = errors.New("a width is at most 32")
)

func parseVariable(s string) (part, string, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	var p part
	if digits > 0 {
		n, err := strconv.Atoi(s[:digits])
		if err != nil || n > 32 {
			return p, "", errWidth
		}
		p.width, s = n, s[digits:]
	}
	if strings.HasPrefix(s, "X") {
		p.hex, s = true, s[1:]
	}
	if s == "" {
		return p, "", errVariable
	}
	switch s[0] {
	case '%':
		return part{text: "%"}, s[1:], nil
	case 'u', 'v', 'f', 'g':
		p.variable = s[0]
		return p, s[1:], nil
	}
	return p, "", errVariable
}

func checkText(f UniqueIDFormat) error {
	for _, p := range f.parts {
		for _, c := range []byte(p.text) {
			if c < '!' || c > '~' {
				return errText
			}
		}
	}
	return nil
}

func (f UniqueIDFormat) isZero() bool { return len(f.parts) == 0 }

func defaultUniqueIDs() UniqueIDFormat {
	eight := func(v byte) part { return part{variable: v, width: 8, hex: true} }
	return UniqueIDFormat{[]part{eight('u'), eight('v')}}
}

// uniqueID is the message's name to POP3 clients. One that was given out
// before stays. What would break the list, or is too long for it, is hashed.
func (f UniqueIDFormat) uniqueID(e storage.MaildropEntry, validity uint32) string {
	id := e.UniqueID
	if id == "" {
		id = f.make(e, validity)
	}
	if id == "" || len(id) > maxUniqueID || strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }) {
		sum := md5.Sum([]byte(id)) // a name, not a secret
		return hex.EncodeToString(sum[:])
	}
	return id
}

func (f UniqueIDFormat) make(e storage.MaildropEntry, validity uint32) string {
	b := make([]byte, 0, 32)
	for _, p := range f.parts {
		switch p.variable {
		case 0:
			b = append(b, p.text...)
		case 'u':
			b = p.number(b, uint64(e.UID))
		case 'v':
			b = p.number(b, uint64(validity))
		default:
			b = append(b, e.Name...)
		}
	}
	return string(b)
}

func (p part) number(b []byte, n uint64) []byte {
	base := 10
	if p.hex {
		base = 16
	}
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], n, base)
	for i := len(d); i < p.width; i++ {
		b = append(b, '0')
	}
	return append(b, d...)
}
