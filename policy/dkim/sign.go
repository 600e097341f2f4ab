package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/message"
)

// Signer makes the signatures of one domain with one key. It is safe for
// concurrent use.
type Signer struct {
	Domain   string
	Selector string
	// Key is an *rsa.PrivateKey of 1024 to 4096 bits or an ed25519.PrivateKey.
	Key crypto.Signer
	// Life is how long a signature is good for; 0 for ever.
	Life time.Duration
	Now  func() time.Time // default time.Now
}

// signedFields are signed where they stand in the message (RFC 6376 section
// 5.4.1). Those that a mail client shows are signed once more than they stand,
// so that nobody can add one.
var signedFields = []struct {
	name string
	over bool
}{
	{"From", true}, {"Sender", false}, {"Reply-To", true}, {"To", true}, {"Cc", true}, {"Subject", true}, {"Date", true},
	{"Message-ID", true}, {"In-Reply-To", false}, {"References", false}, {"MIME-Version", true}, {"Content-Type", true},
	{"Content-Transfer-Encoding", true}, {"List-Id", false}, {"List-Unsubscribe", false}, {"List-Unsubscribe-Post", false},
}

// What cannot be signed.
var (
	errUnsignedKey = errors.New("a key that cannot sign mail")
	errHeaderSize  = errors.New("header is too large to sign")
)

// Check reports a key with which nothing can be signed.
func (s *Signer) Check() error {
	_, err := algorithmOf(s.Key)
	return err
}

// Sign returns the DKIM-Signature field for a message, folded, with its line
// end, to stand above everything else.
func (s *Signer) Sign(c message.Content) ([]byte, error) { return s.signField(c, FieldName, "v=1") }

func (s *Signer) signField(c message.Content, name, first string) ([]byte, error) {
	a, err := algorithmOf(s.Key)
	if err != nil {
		return nil, err
	}
	h, ok, err := readHeader(c)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read header: %w", err)
	case !ok:
		return nil, errHeaderSize
	}
	sig := &Signature{Algorithm: a, Domain: s.Domain, Selector: s.Selector, Fields: fieldsToSign(&h), header: relaxed, body: relaxed, length: -1}
	sum := newBodyHash(relaxed, -1, a.hash())
	if err := hashBodies(c, h.end, []*bodyHash{sum}); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	open := s.field(name+": "+first, sig, sum.sum.Sum(nil))
	value, err := s.sign(a, h.digest(sig, []byte(open+"\r\n")))
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", s.Domain, err)
	}
	return []byte(open + fold(encode(value)) + "\r\n"), nil
}

func fieldsToSign(h *header) []string {
	var names []string
	for _, f := range signedFields {
		n := len(h.named(f.name))
		if f.over {
			n++
		}
		for range n {
			names = append(names, f.name)
		}
	}
	return names
}

// field is the signature field, which begins with head, up to the value of b=.
func (s *Signer) field(head string, sig *Signature, bodySum []byte) string {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	at := now()
	var b strings.Builder
	fmt.Fprintf(&b, "%s; a=%s; c=relaxed/relaxed;\r\n\td=%s; s=%s;\r\n\tt=%d;", head, sig.Algorithm, s.Domain, s.Selector, at.Unix())
	if s.Life > 0 {
		b.WriteString(" x=" + strconv.FormatInt(at.Add(s.Life).Unix(), 10) + ";")
	}
	b.WriteString("\r\n\th=" + foldNames(sig.Fields) + ";\r\n\tbh=" + encode(bodySum) + ";\r\n\tb=")
	return b.String()
}

func (s *Signer) sign(a Algorithm, digest []byte) ([]byte, error) {
	opts := crypto.SignerOpts(a.hash())
	if a == Ed25519SHA256 {
		opts = crypto.Hash(0) // RFC 8463 section 3: the hash itself is what is signed
	}
	return s.Key.Sign(rand.Reader, digest, opts)
}

func algorithmOf(k crypto.Signer) (Algorithm, error) {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", errKeySize
		}
		return RSASHA256, nil
	case ed25519.PrivateKey:
		return Ed25519SHA256, nil
	}
	return "", errUnsignedKey
}

// foldNames joins names with colons, in lines of a sensible length.
func foldNames(names []string) string {
	var b strings.Builder
	line := 0
	for i, n := range names {
		if i > 0 {
			b.WriteByte(':')
		}
		if line += len(n) + 1; line > 68 {
			b.WriteString("\r\n\t ")
			line = len(n) + 2
		}
		b.WriteString(n)
	}
	return b.String()
}

// fold breaks base64 into lines.
func fold(s string) string {
	const width = 70
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\r\n\t ")
		s = s[width:]
	}
	return b.String() + s
}
