// Package scheme verifies stored passwords, and makes new ones, in the forms
// that Dovecot, PostfixAdmin and crypt(3) write.
//
// A stored password is "{SCHEME}text" or, without braces, text in the default
// scheme of the site. Scheme names ignore case and may end in ".HEX", ".B64"
// or ".BASE64": text is then written that way. Without such an ending, digests
// of a fixed size may be hex or base64, told apart by length. docs/passwords.md
// lists the schemes.
//
// Rules: an empty password never verifies. What a stored password costs is
// read and compared with Limits before any of it is computed. Comparisons take
// constant time. Algorithms come from kept libraries (go-crypt, x/crypto,
// the standard library); our own are those that none of them has.
package scheme

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Errors of Parse and Verify. Each means that nobody can log in with this
// stored password until somebody sets a new one.
var (
	ErrUnknown   = errors.New("unknown password scheme")
	ErrMalformed = errors.New("malformed stored password")
	ErrTooCostly = errors.New("stored password costs more than the limits allow")
)

// MaxPassword is the longest password that is verified, in octets; longer ones
// are wrong. It bounds the work for hashes that read the password in every
// round, and is crypt(3)'s own limit.
const MaxPassword = 512

// Stored is a stored password whose scheme is known and whose outer encoding
// is undone.
type Stored struct {
	Scheme string // in upper case, without ending: "SHA512-CRYPT"
	text   []byte
	verify verifier
	heavy  bool
}

// Parse reads a stored password. defaultScheme is for one without braces; with
// an empty defaultScheme such a one is ErrUnknown.
func Parse(stored, defaultScheme string) (Stored, error) {
	name, text := defaultScheme, stored
	if after, ok := strings.CutPrefix(stored, "{"); ok {
		if inner, rest, closed := strings.Cut(after, "}"); closed {
			name, text = inner, rest
		}
	}
	name, ending, hasEnding := strings.Cut(strings.ToUpper(name), ".")
	d, ok := definitions[name]
	if !ok {
		return Stored{}, fmt.Errorf("{%.40s}: %w", name, ErrUnknown)
	}
	e := d.encoding
	if hasEnding {
		if e, ok = endings[ending]; !ok {
			return Stored{}, fmt.Errorf("{%s.%.40s}: %w", name, ending, ErrUnknown)
		}
	} else if d.size != 0 {
		e = guess(text, d.size)
	}
	raw, err := e.decode(text)
	if err != nil || d.size != 0 && len(raw) != d.size {
		return Stored{}, fmt.Errorf("{%s}: %w", name, ErrMalformed) // err may quote the text
	}
	return Stored{Scheme: name, text: raw, verify: d.verify, heavy: d.heavy}, nil
}

// Heavy reports that verifying takes noticeable time or memory on purpose, so
// that the caller bounds how many run at once.
func (s Stored) Heavy() bool { return s.heavy }

// Verify reports whether password is right. user is the whole login name,
// which DIGEST-MD5 mixes in.
func (s Stored) Verify(user, password string, limits Limits) (bool, error) {
	if s.verify == nil || password == "" || len(password) > MaxPassword || len(s.text) == 0 {
		return false, nil
	}
	ok, err := s.verify(attempt{user: user, password: password, text: s.text, limits: limits.orDefault()})
	if err != nil {
		return false, fmt.Errorf("{%s}: %w", s.Scheme, err)
	}
	return ok, nil
}

// attempt is one password against one stored text.
type attempt struct {
	user, password string
	text           []byte // not empty
	limits         Limits
}

// verifier says whether the password of an attempt is right. Errors are
// ErrMalformed, ErrTooCostly or wrap them.
type verifier func(attempt) (bool, error)

// is compares computed octets with the whole stored text.
func (a attempt) is(computed []byte) bool {
	return subtle.ConstantTimeCompare(a.text, computed) == 1
}

// definition is all that is true of a scheme besides its algorithm.
type definition struct {
	size     int      // octets of a digest, 0 if they vary
	encoding encoding // of the stored text where no ending and no size says it
	heavy    bool
	verify   verifier
}

// definitions are Dovecot's schemes. A crypt scheme takes whatever crypt(3)
// takes, under any of its names; MD5-CRYPT and MD5 do not.
var definitions = map[string]definition{
	"PLAIN":       {verify: plain},
	"CLEAR":       {verify: plain},
	"CLEARTEXT":   {verify: plain},
	"PLAIN-TRUNC": {verify: plainTruncated},

	"CRYPT":        {heavy: true, verify: crypt3},
	"DES-CRYPT":    {heavy: true, verify: crypt3},
	"BLF-CRYPT":    {heavy: true, verify: crypt3},
	"SHA256-CRYPT": {heavy: true, verify: crypt3},
	"SHA512-CRYPT": {heavy: true, verify: crypt3},
	"MD5-CRYPT":    {heavy: true, verify: md5Crypt},
	"MD5":          {heavy: true, verify: anyMD5},

	"ARGON2I":       {heavy: true, verify: argon},
	"ARGON2ID":      {heavy: true, verify: argon},
	"PBKDF2":        {heavy: true, verify: pbkdf2SHA1},
	"SCRAM-SHA-1":   {heavy: true, verify: scramSHA1},
	"SCRAM-SHA-256": {heavy: true, verify: scramSHA256},
	"OTP":           {heavy: true, verify: oneTime},

	"PLAIN-MD4": {size: 16, verify: digestMD4},
	"PLAIN-MD5": {size: 16, verify: digestMD5},
	"LDAP-MD5":  {size: 16, verify: digestMD5},
	"SHA":       {size: 20, verify: digestSHA1},
	"SHA1":      {size: 20, verify: digestSHA1},
	"SHA256":    {size: 32, verify: digestSHA256},
	"SHA512":    {size: 64, verify: digestSHA512},

	"SMD5":    {encoding: inBase64, verify: saltedMD5},
	"SSHA":    {encoding: inBase64, verify: saltedSHA1},
	"SSHA256": {encoding: inBase64, verify: saltedSHA256},
	"SSHA512": {encoding: inBase64, verify: saltedSHA512},

	"CRAM-MD5":   {size: 32, verify: hmacMD5State},
	"HMAC-MD5":   {size: 32, verify: hmacMD5State},
	"DIGEST-MD5": {size: 16, verify: digestMD5Realm},
}

// encoding is how stored text writes octets.
type encoding int

const (
	asIs encoding = iota
	inHex
	inBase64
)

var endings = map[string]encoding{"HEX": inHex, "B64": inBase64, "BASE64": inBase64}

// guess tells the encoding of a digest from its length, as Dovecot does.
func guess(text string, size int) encoding {
	if len(text) == hex.EncodedLen(size) {
		return inHex
	}
	return inBase64
}

func (e encoding) decode(text string) ([]byte, error) {
	switch e {
	case inHex:
		return hex.DecodeString(text)
	case inBase64:
		return base64.StdEncoding.DecodeString(strings.TrimRight(text, " \t\r\n"))
	default:
		return []byte(text), nil
	}
}
