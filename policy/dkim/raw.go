package dkim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"gomaild/message"
)

// What follows is for signatures that are made as DKIM makes them and are not
// called so: ARC (RFC 8617).

// Header is the fields of a message as they are signed.
type Header struct{ h header }

// ReadHeader reads the header of c. ok is false when it is too large to be
// looked at; an error is one of reading.
func ReadHeader(c message.Content) (h *Header, ok bool, err error) {
	inner, ok, err := readHeader(c)
	return &Header{inner}, ok, err
}

// Named are the fields of a name, from the bottom up, with names and line ends.
func (h *Header) Named(name string) [][]byte { return h.h.named(name) }

// ParseTags reads a tag list (RFC 6376 section 3.2). A name twice is an error.
func ParseTags(s string) (map[string]string, error) { return parseTags(s) }

// Relaxed is a field, given with its line end, as relaxed canonicalization makes
// it.
func Relaxed(field []byte) []byte { return relaxed.header(field) }

// WithoutValue is a field with the value of its b= taken out, as it is signed.
func WithoutValue(field []byte) []byte { return withoutValue(field) }

// Value decodes base64 that may be folded.
func Value(s string) ([]byte, error) { return tags{"b": s}.base64("b") }

// VerifyField verifies a field of the message that signs it as a DKIM-Signature
// does but has no version and no identity. The error is one of reading c.
func (v *Verifier) VerifyField(ctx context.Context, c message.Content, h *Header, raw []byte) (Verification, error) {
	s := &Signature{field: raw, length: -1}
	t, err := parseTags(valueOf(raw))
	if err == nil {
		t["v"] = "1"
		delete(t, "i")
		err = s.read(t)
	}
	ch := &check{Signature: s, err: err}
	if err := hashAll(c, h.h.end, []*check{ch}); err != nil {
		return Verification{}, fmt.Errorf("read body: %w", err)
	}
	return v.finish(ctx, &h.h, ch), nil
}

func valueOf(field []byte) string {
	for i, c := range field {
		if c == ':' {
			return string(field[i+1:])
		}
	}
	return ""
}

// VerifyText verifies a signature of a text with the key of a domain. reason is
// as in Verification.
func (v *Verifier) VerifyText(ctx context.Context, a Algorithm, domain, selector string, text, value []byte) (r Result, reason string) {
	switch {
	case a != RSASHA256 && a != Ed25519SHA256:
		return PermError, errAlgorithm.Error()
	case !IsName(domain) || !IsName(selector):
		return PermError, errDomain.Error()
	}
	k, err := lookUp(ctx, v.Resolver, &Signature{Algorithm: a, Domain: domain, Selector: selector})
	switch {
	case errors.Is(err, errDNS):
		return TempError, errDNS.Error()
	case err != nil:
		return PermError, reasonOf(err)
	}
	sum := sha256.Sum256(text)
	if !k.verify(a, sum[:], value) {
		return Fail, "signature did not verify"
	}
	return Pass, ""
}

// SignField makes a field that signs a message as a DKIM-Signature does, under
// another name, with first as its first tag.
func (s *Signer) SignField(c message.Content, name, first string) ([]byte, error) {
	return s.signField(c, name, first)
}

// SignText signs a text: the algorithm, and the value as folded base64.
func (s *Signer) SignText(text []byte) (a Algorithm, value string, err error) {
	if a, err = algorithmOf(s.Key); err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(text)
	raw, err := s.sign(a, sum[:])
	if err != nil {
		return "", "", fmt.Errorf("sign for %s: %w", s.Domain, err)
	}
	return a, fold(encode(raw)), nil
}

// Algorithm is what signatures are made with; the error is that of Check.
func (s *Signer) Algorithm() (Algorithm, error) { return algorithmOf(s.Key) }
