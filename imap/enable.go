package imap

import (
	"context"
	"slices"
	"strings"
)

// feature is what a client has enabled, or a set of it.
type feature uint8

const (
	condstore  feature = 1 << iota // MODSEQ with every FLAGS, RFC 7162
	qresync                        // VANISHED for EXPUNGE, RFC 7162
	imap4rev2                      // RFC 9051
	utf8Accept                     // RFC 6855
	metadata                       // unsolicited METADATA, RFC 5464 section 4.4
)

// features are what ENABLE knows. QRESYNC enables CONDSTORE too (RFC 7162
// section 3.2.3).
var features = map[string]feature{
	"CONDSTORE":   condstore,
	"QRESYNC":     condstore | qresync,
	"IMAP4rev2":   imap4rev2,
	"UTF8=ACCEPT": utf8Accept,
	"METADATA":    metadata,
}

// enable is ENABLE, RFC 5161. Unknown names are passed over, as section 3.1
// wants.
type enable struct{ names []string }

func parseEnable(g *grammar) request {
	var r enable
	add := func() {
		word := g.Atom()
		for name := range features {
			if strings.EqualFold(name, word) && !slices.Contains(r.names, name) {
				r.names = append(r.names, name)
			}
		}
	}
	g.SP()
	add()
	for g.Accept(' ') {
		add()
	}
	g.End()
	return r
}

func (r enable) run(_ context.Context, s *session) (reply, error) {
	s.enc.Raw("* ENABLED")
	var added feature
	for _, name := range r.names {
		if f := features[name]; s.enabled&f != f {
			s.enc.Raw(" " + name)
			added |= f
		}
	}
	s.enc.CRLF()
	if added&condstore != 0 {
		s.useModSeq()
	}
	s.enabled |= added
	if s.enabled&metadata != 0 {
		s.listen()
	}
	s.speakUTF8()
	s.forgetRecent()
	return reply{}, nil
}
