// Package keys keeps the private keys with which mail of ours is signed:
//
//	DOMAIN/SELECTOR.pem    PKCS #8, RSA or Ed25519, readable by the owner only
//
// below one directory on the mount, so that they fail over with the mail. Every
// key of a domain signs: an RSA and an Ed25519 key make two signatures (RFC
// 8463 section 5). A key is in use from the next start or reload on; take its
// file away, reload, and only then the record out of the DNS.
package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/dkim"
	"gomaild/policy/dmarc"
)

const suffix = ".pem"

// Type is the kind of a key.
type Type string

// The types. RSA keys have 2048 bits, which fit into a packet of the DNS.
const (
	RSA     Type = "rsa"
	Ed25519 Type = "ed25519"
)

// Errors that callers can act on.
var (
	ErrExists = errors.New("there is such a key already") // choose another selector
	ErrName   = errors.New("not a domain or selector")
	ErrType   = errors.New("not a type of key")
)

// Key is one key.
type Key struct {
	Domain, Selector string
	signer           *dkim.Signer
}

// RecordName is where the record stands in the DNS.
func (k Key) RecordName() string { return k.Selector + "._domainkey." + k.Domain }

// Record is the text of the TXT record.
func (k Key) Record() (string, error) { return dkim.Record(k.signer.Key.Public()) }

// Generate makes a key and keeps it, durable, in dir of fsys. ErrExists,
// ErrName, ErrType; another error is one of the disk.
func Generate(fsys durable.FS, dir, domain, selector string, kind Type) (Key, error) {
	domain, selector = mail.FoldASCII(domain), mail.FoldASCII(selector)
	if !dkim.IsName(domain) || !dkim.IsName(selector) {
		return Key{}, fmt.Errorf("%s of %s: %w", selector, domain, ErrName)
	}
	name := path.Join(dir, domain, selector+suffix)
	if _, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = ErrExists
		}
		return Key{}, fmt.Errorf("%s of %s: %w", selector, domain, err)
	}
	private, err := generate(kind)
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("encode key: %w", err)
	}
	if err := durable.MkdirAll(fsys, path.Dir(name), 0o700); err != nil {
		return Key{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := durable.WriteFile(fsys, name, text, 0o600); err != nil {
		return Key{}, err
	}
	return newKey(domain, selector, private), nil
}

func generate(kind Type) (crypto.Signer, error) {
	switch kind {
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("%q: %w", kind, ErrType)
}

func newKey(domain, selector string, private crypto.Signer) Key {
	return Key{domain, selector, &dkim.Signer{Domain: domain, Selector: selector, Key: private}}
}

// Ring is the keys of all domains. It is immutable.
type Ring struct{ domains map[string][]Key }

// Load reads every key in dir of fsys, which need not exist. A file that is no
// key is an error: mail that should be signed would go out without.
func Load(fsys durable.FS, dir string) (*Ring, error) {
	r := &Ring{domains: map[string][]Key{}}
	domains, err := readNames(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, domain := range domains {
		files, err := readNames(fsys, path.Join(dir, domain))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			selector, isKey := strings.CutSuffix(file, suffix)
			if !isKey || !dkim.IsName(domain) || !dkim.IsName(selector) {
				continue
			}
			k, err := load(fsys, dir, domain, selector)
			if err != nil {
				return nil, fmt.Errorf("key %s of %s: %w", selector, domain, err)
			}
			r.domains[domain] = append(r.domains[domain], k)
		}
	}
	return r, nil
}

func readNames(fsys durable.FS, dir string) ([]string, error) {
	names, err := fsys.ReadDirNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

func load(fsys durable.FS, dir, domain, selector string) (Key, error) {
	text, err := durable.ReadFile(fsys, path.Join(dir, domain, selector+suffix))
	if err != nil {
		return Key{}, err
	}
	return Parse(domain, selector, text)
}

// parse reads PKCS #8, and PKCS #1 as opendkim-genkey writes it.
func parse(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, ErrType
	}
	return s, nil
}

// Keys lists the keys in the order of their domains.
func (r *Ring) Keys() []Key {
	var all []Key
	for _, list := range r.domains {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b Key) int {
		return strings.Compare(a.Domain+" "+a.Selector, b.Domain+" "+b.Selector)
	})
	return all
}

// Sign makes the signature fields for a message: one for each key of its
// author's domain or, without any, of the nearest domain above it that has one.
// nil where nobody has one, and for a message whose author cannot be told.
func (r *Ring) Sign(c message.Content) ([]byte, error) {
	domain, err := dmarc.AuthorDomain(c)
	switch {
	case errors.Is(err, dmarc.ErrFrom):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read From: %w", err)
	}
	return sign(r.keysFor(domain), c)
}

// Signer is the key of exactly this domain with which chains are sealed, nil
// without one: an RSA key where there is one, for not everybody verifies others.
func (r *Ring) Signer(domain string) *dkim.Signer {
	var found *dkim.Signer
	for _, k := range r.domains[mail.FoldASCII(domain)] {
		if a, err := k.signer.Algorithm(); found == nil || err == nil && a == dkim.RSASHA256 {
			found = k.signer
		}
	}
	return found
}

func (r *Ring) keysFor(domain string) []Key {
	for domain != "" {
		if list := r.domains[domain]; list != nil {
			return list
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return nil
}
