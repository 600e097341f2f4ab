package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
)

// FieldName is the field that holds a signature.
const FieldName = "DKIM-Signature"

// Algorithm is what the `a` tag names.
type Algorithm string

// The algorithms. rsa-sha1 is none any more (RFC 8301 section 3.1).
const (
	RSASHA256     Algorithm = "rsa-sha256"
	Ed25519SHA256 Algorithm = "ed25519-sha256" // RFC 8463
)

func (a Algorithm) hash() crypto.Hash { return crypto.SHA256 }

// keyType is the `k` tag of a key that fits.
func (a Algorithm) keyType() string {
	if a == Ed25519SHA256 {
		return "ed25519"
	}
	return "rsa"
}

// Signature is a DKIM-Signature field taken apart (RFC 6376 section 3.5).
type Signature struct {
	Algorithm Algorithm
	Domain    string // d=, in lower case
	Selector  string // s=, in lower case
	Identity  string // i=, "@" and Domain if there is none
	Fields    []string
	Signed    time.Time // t=, zero if there is none
	Expires   time.Time // x=, zero if there is none

	header, body canonicalizer
	length       int64  // l=, below 0 if there is none
	bodyHash     []byte // bh=
	value        []byte // b=
	field        []byte // the field, line end included
}

// maxFields bounds the names in h=.
const maxFields = 256

// What makes a signature of no use, whatever its key.
var (
	errVersion   = errors.New("unknown version")
	errAlgorithm = errors.New("unknown algorithm")
	errQuery     = errors.New("unknown query method")
	errCanon     = errors.New("unknown canonicalization")
	errMissing   = errors.New("a required tag is missing")
	errNoFrom    = errors.New("From is not signed")
	errIdentity  = errors.New("i= is not within d=")
	errNumber    = errors.New("malformed number")
	errFields    = errors.New("too many fields in h=")
	errDomain    = errors.New("malformed domain or selector")
)

// parseSignature reads a field given with its name and line end. What it can
// read stands in the Signature even when there is an error, for the report.
func parseSignature(field []byte) (*Signature, error) {
	_, value, _ := strings.Cut(string(field), ":")
	s := &Signature{field: field, length: -1}
	t, err := parseTags(value)
	if err != nil {
		return s, err
	}
	return s, s.read(t)
}

func (s *Signature) read(t tags) error {
	s.Domain, s.Selector = mail.FoldASCII(t["d"]), mail.FoldASCII(t["s"])
	s.Algorithm = Algorithm(mail.FoldASCII(t["a"]))
	for _, name := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if t[name] == "" {
			return fmt.Errorf("%w: %s", errMissing, name)
		}
	}
	for _, step := range []func(tags) error{s.readNames, s.readValues, s.readFields, s.readTimes} {
		if err := step(t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signature) readNames(t tags) error {
	switch {
	case t["v"] != "1":
		return errVersion
	case s.Algorithm != RSASHA256 && s.Algorithm != Ed25519SHA256:
		return errAlgorithm
	case t["q"] != "" && !containsFold(t.list("q"), "dns/txt"):
		return errQuery
	case !IsName(s.Domain) || !IsName(s.Selector):
		return errDomain
	}
	s.Identity = t["i"]
	if s.Identity == "" {
		s.Identity = "@" + s.Domain
	}
	_, domain, found := strings.Cut(s.Identity, "@")
	domain = mail.FoldASCII(domain[strings.LastIndexByte(domain, '@')+1:])
	if !found || domain != s.Domain && !strings.HasSuffix(domain, "."+s.Domain) {
		return errIdentity
	}
	return s.readCanon(t["c"])
}

// readCanon reads "header/body"; what is missing is simple (section 3.5).
func (s *Signature) readCanon(c string) error {
	h, b, _ := strings.Cut(mail.FoldASCII(c), "/")
	var okH, okB bool
	s.header, okH = parseCanon(h)
	s.body, okB = parseCanon(b)
	if !okH || !okB {
		return errCanon
	}
	return nil
}

func parseCanon(s string) (canonicalizer, bool) {
	return s == "relaxed", s == "" || s == "simple" || s == "relaxed"
}

func (s *Signature) readValues(t tags) (err error) {
	if s.bodyHash, err = t.base64("bh"); err != nil {
		return fmt.Errorf("bh=: %w", err)
	}
	if s.value, err = t.base64("b"); err != nil {
		return fmt.Errorf("b=: %w", err)
	}
	if l, ok := t["l"]; ok {
		n, err := strconv.ParseUint(l, 10, 63)
		if err != nil {
			return fmt.Errorf("l=: %w", errNumber)
		}
		s.length = int64(n)
	}
	return nil
}

func (s *Signature) readFields(t tags) error {
	s.Fields = t.list("h")
	if len(s.Fields) > maxFields {
		return errFields
	}
	if !containsFold(s.Fields, "from") {
		return errNoFrom // section 5.4
	}
	return nil
}

func (s *Signature) readTimes(t tags) (err error) {
	if s.Signed, err = parseTime(t["t"]); err != nil {
		return fmt.Errorf("t=: %w", err)
	}
	if s.Expires, err = parseTime(t["x"]); err != nil {
		return fmt.Errorf("x=: %w", err)
	}
	return nil
}

// parseTime reads seconds since 1970; the RFC allows 12 digits.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 12 {
		return time.Time{}, errNumber
	}
	return time.Unix(int64(n), 0), nil
}

// IsName reports a name that can be asked for in the DNS, whose labels are
// letters, digits, hyphens and underscores.
func IsName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}

func containsFold(list []string, want string) bool {
	for _, s := range list {
		if strings.EqualFold(s, want) {
			return true
		}
	}
	return false
}
