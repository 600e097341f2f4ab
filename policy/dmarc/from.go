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
	domain, fields := "", 0
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return "", err
		}
		if !f.Is("From") {
			continue
		}
		if fields++; fields > 1 {
			return "", ErrFrom
		}
		for _, m := range message.ParseAddressList(f.Text(), maxAuthors) {
			d := mail.FoldASCII(m.Domain)
			if d == "" {
				continue
			}
			if domain != "" && d != domain {
				return "", ErrFrom
			}
			domain = d
		}
	}
	if domain == "" {
		return "", ErrFrom
	}
	return domain, nil
}
