package keys

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/dkim"
	"gomaild/policy/dmarc"
)

// maxPEM bounds the text of a key: an RSA key of 4096 bits has 3.3 KB.
const maxPEM = 8 << 10

// ErrSize is a text that is too long to be a key.
var ErrSize = errors.New("too long for a key")

// Parse reads a private key: PEM of PKCS #8 or PKCS #1, RSA of 1024 to 4096 bits
// or Ed25519. ErrName, ErrSize and ErrType can be told apart.
func Parse(domain, selector string, text []byte) (Key, error) {
	domain, selector = mail.FoldASCII(domain), mail.FoldASCII(selector)
	switch {
	case !dkim.IsName(domain) || !dkim.IsName(selector):
		return Key{}, ErrName
	case len(text) > maxPEM:
		return Key{}, ErrSize
	}
	private, err := parse(text)
	if err != nil {
		return Key{}, err
	}
	k := newKey(domain, selector, private)
	return k, k.signer.Check()
}

// Table is keys by whose mail they sign, as OpenDKIM's SigningTable: an address,
// *@domain, a domain, .domain for those below it, or *. The zero Table signs
// nothing. It is immutable after the last Add.
type Table struct {
	authors map[string][]Key
	keys    []Key
}

// Add lets a key sign for an author.
func (t *Table) Add(author string, k Key) {
	if t.authors == nil {
		t.authors = map[string][]Key{}
	}
	author = strings.TrimPrefix(mail.FoldASCII(strings.TrimSpace(author)), "*@")
	t.authors[author] = append(t.authors[author], k)
	t.keys = append(t.keys, k)
}

// Keys lists what was added, in its order.
func (t *Table) Keys() []Key { return t.keys }

// Sign is Ring.Sign by the table: every key of the first entry that has the
// author, the closest first.
func (t *Table) Sign(c message.Content) ([]byte, error) {
	author, err := dmarc.Author(c)
	switch {
	case errors.Is(err, dmarc.ErrFrom):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read From: %w", err)
	}
	return sign(t.keysFor(author), c)
}

func (t *Table) keysFor(a mail.Address) []Key {
	if list := t.authors[mail.FoldASCII(a.Local)+"@"+a.Domain]; list != nil {
		return list
	}
	if list := t.authors[a.Domain]; list != nil {
		return list
	}
	for _, rest, found := strings.Cut(a.Domain, "."); found; _, rest, found = strings.Cut(rest, ".") {
		if list := t.authors["."+rest]; list != nil {
			return list
		}
	}
	return t.authors["*"]
}

func sign(list []Key, c message.Content) ([]byte, error) {
	var fields bytes.Buffer
	for _, k := range list {
		f, err := k.signer.Sign(c)
		if err != nil {
			return nil, fmt.Errorf("sign with %s: %w", k.RecordName(), err)
		}
		fields.Write(f)
	}
	return fields.Bytes(), nil
}
