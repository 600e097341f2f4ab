package dmarc

import (
	"errors"

	"gomaild/mail"
	"gomaild/message"
)

// ErrFrom is a message whose author cannot be told: no From field, several, or
// one with several domains or none (RFC 7489 section 6.6.1).
var ErrFrom = errors.New("no single author domain")

// maxAuthors bounds the addresses of a From field that are looked at.
const maxAuthors = 100

// AuthorDomain is the domain in the From field, in lower case. ErrFrom, or an
// error of reading c.
func AuthorDomain(c message.Content) (string, error) {
	a, err := Author(c)
	return a.Domain, err
}

// Author is the first address in the From field, its domain in lower case. Errors
// are those of AuthorDomain.
func Author(c message.Content) (mail.Address, error) {
	var author mail.Address
	fields := 0
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return mail.Address{}, err
		}
		if !f.Is("From") {
			continue
		}
		if fields++; fields > 1 {
			return mail.Address{}, ErrFrom
		}
		for _, m := range message.ParseAddressList(f.Text(), maxAuthors) {
			d := mail.FoldASCII(m.Domain)
			if d == "" {
				continue
			}
			if author.Domain != "" && d != author.Domain {
				return mail.Address{}, ErrFrom
			}
			if author.Domain == "" {
				author = mail.Address{Local: m.Local, Domain: d}
			}
		}
	}
	if author.Domain == "" {
		return mail.Address{}, ErrFrom
	}
	return author, nil
}
