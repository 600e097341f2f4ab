package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"gomaild/mail"
)

// Bounds of a key (RFC 8301 section 3.2 asks for 1024 to 4096 bits).
const (
	minRSABits   = 1024
	maxRSABits   = 4096
	maxKeyRecord = 2048 // octets of the TXT record; 4096 bits take 736
	maxRecords   = 8    // TXT records looked at under one name
)

// Resolver is the part of the DNS that is needed. *net.Resolver is one: a name
// that does not exist is a *net.DNSError with IsNotFound, anything else is a
// fault.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// key is a key record (RFC 6376 section 3.6.1).
type key struct {
	public  crypto.PublicKey
	testing bool // t=y: treat as if it were not signed
	strict  bool // t=s: i= must be d= itself
}

// What is wrong with a key: permanent.
var (
	errNoKey      = errors.New("no key for signature")
	errRevoked    = errors.New("key is revoked")
	errKeySyntax  = errors.New("malformed key record")
	errKeyType    = errors.New("key is of another type")
	errKeyHash    = errors.New("key is not for this hash algorithm")
	errKeyService = errors.New("key is not for mail")
	errKeySize    = errors.New("key is too short or too long")
)

// errDNS marks a fault of the DNS.
var errDNS = errors.New("key could not be asked for")

// lookUp asks for the key of a signature.
func lookUp(ctx context.Context, r Resolver, s *Signature) (*key, error) {
	name := s.Selector + "._domainkey." + s.Domain
	if len(name) > 253 {
		return nil, errNoKey
	}
	records, err := r.LookupTXT(ctx, name)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, errNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDNS, err)
	}
	err = errNoKey
	for _, text := range records[:min(len(records), maxRecords)] {
		var k *key
		if k, err = parseKey(text, s.Algorithm); err == nil {
			return k, nil
		}
	}
	return nil, err
}

// parseKey reads a record and checks that it serves the algorithm.
func parseKey(text string, a Algorithm) (*key, error) {
	if len(text) > maxKeyRecord {
		return nil, errKeySize
	}
	t, err := parseTags(text)
	if err != nil {
		return nil, errKeySyntax
	}
	if err := fits(t, a); err != nil {
		return nil, err
	}
	p, there := t["p"]
	switch {
	case !there:
		return nil, errKeySyntax
	case p == "":
		return nil, errRevoked
	}
	der, err := t.base64("p")
	if err != nil {
		return nil, errKeySyntax
	}
	k := &key{testing: containsFold(t.list("t"), "y"), strict: containsFold(t.list("t"), "s")}
	k.public, err = parsePublic(der, a)
	return k, err
}

// fits checks what the record says it is for.
func fits(t tags, a Algorithm) error {
	if v, there := t["v"]; there && v != "DKIM1" {
		return errKeySyntax
	}
	if k := mail.FoldASCII(t["k"]); k != a.keyType() && !(k == "" && a.keyType() == "rsa") {
		return errKeyType
	}
	if h := t.list("h"); h != nil && !containsFold(h, "sha256") {
		return errKeyHash
	}
	if s := t.list("s"); s != nil && !containsFold(s, "email") && !containsFold(s, "*") {
		return errKeyService
	}
	return nil
}

// parsePublic reads the octets of p=: SubjectPublicKeyInfo, or the bare
// RSAPublicKey that some publish, or the 32 octets of Ed25519.
func parsePublic(der []byte, a Algorithm) (crypto.PublicKey, error) {
	if a == Ed25519SHA256 {
		if len(der) != ed25519.PublicKeySize {
			return nil, errKeySize
		}
		return ed25519.PublicKey(der), nil
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		public, err = x509.ParsePKCS1PublicKey(der)
	}
	if err != nil {
		return nil, errKeySyntax
	}
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errKeyType
	}
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, errKeySize
	}
	return k, nil
}

// verify checks a signature over a hash.
func (k *key) verify(a Algorithm, hashed, signature []byte) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, a.hash(), hashed, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, hashed, signature)
	}
	return false
}

// Record is the TXT record for a public key, *rsa.PublicKey or
// ed25519.PublicKey.
func Record(public crypto.PublicKey) (string, error) {
	var kind string
	var p []byte
	switch k := public.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return "", fmt.Errorf("key: %w", err)
		}
		kind, p = "rsa", der
	case ed25519.PublicKey:
		kind, p = "ed25519", k
	default:
		return "", fmt.Errorf("key of type %T: %w", public, errKeyType)
	}
	return strings.Join([]string{"v=DKIM1", "k=" + kind, "p=" + encode(p)}, "; "), nil
}
