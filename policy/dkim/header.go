package dkim

import (
	"crypto"
	"hash"
	"io"
	"strings"

	"gomaild/message"
)

// Bounds of a header that is looked at. A larger one is not signed and its
// signatures are PermErrors.
const (
	maxHeader       = 512 << 10 // octets
	maxHeaderFields = 4096
)

// header is the fields of a message in their order, line ends included, in
// wire form.
type header struct {
	fields []field
	end    int64 // stored offset of the body
}

type field struct {
	name string
	raw  []byte
}

// readHeader reads the header of c. ok is false when it is too large.
func readHeader(c message.Content) (h header, ok bool, err error) {
	whole := message.Span{Len: c.Size()}
	total := int64(0)
	for f, err := range message.Fields(c, whole) {
		if err != nil {
			return h, false, err
		}
		total += f.Span.Len
		if total > maxHeader || len(h.fields) >= maxHeaderFields {
			return h, false, nil
		}
		raw, err := io.ReadAll(message.NewWireReader(c, f.Span))
		if err != nil {
			return h, false, err
		}
		h.fields = append(h.fields, field{f.Name, raw})
		h.end = f.Span.Off + f.Span.Len
	}
	h.end, err = message.AfterBlankLine(c, h.end)
	return h, err == nil, err
}

// named are the fields of a name, from the bottom up (RFC 6376 section 5.4.2).
func (h *header) named(name string) (all [][]byte) {
	for i := len(h.fields) - 1; i >= 0; i-- {
		if strings.EqualFold(h.fields[i].name, name) {
			all = append(all, h.fields[i].raw)
		}
	}
	return all
}

// digest is the hash that is signed: the fields that h= names, each name taking
// the next one up and none when there is none left, then the signature field
// itself with an empty b= and without its line end (section 3.7).
func (h *header) digest(s *Signature, own []byte) []byte {
	sum := s.Algorithm.hash().New()
	taken := map[string][][]byte{}
	for _, name := range s.Fields {
		name = strings.ToLower(name)
		rest, known := taken[name]
		if !known {
			rest = h.named(name)
		}
		if len(rest) > 0 {
			sum.Write(s.header.header(rest[0]))
			rest = rest[1:]
		}
		taken[name] = rest
	}
	own = s.header.header(own)
	sum.Write(own[:len(own)-len("\r\n")])
	return sum.Sum(nil)
}

// withoutValue is a signature field with the value of its b= taken out: blanks
// and all, up to the next semicolon.
func withoutValue(raw []byte) []byte {
	text := string(raw)
	from := strings.IndexByte(text, ':') + 1
	for from < len(text) {
		end := strings.IndexByte(text[from:], ';')
		if end < 0 {
			end = len(text) - from
		}
		name, _, found := strings.Cut(text[from:from+end], "=")
		if found && strings.Trim(name, " \t\r\n") == "b" {
			begin := from + len(name) + 1
			rest := text[from+end:]
			if rest == "" {
				rest = "\r\n"
			}
			return []byte(text[:begin] + rest)
		}
		from += end + 1
	}
	return raw
}

// bodyHash is one canonical form of a body, hashed up to its limit.
type bodyHash struct {
	canon canonicalizer
	limit int64 // octets, below 0 for all
	sum   hash.Hash
	body  *body
	seen  int64
}

func newBodyHash(c canonicalizer, limit int64, h crypto.Hash) *bodyHash {
	b := &bodyHash{canon: c, limit: limit, sum: h.New()}
	b.body = newBody(b, c)
	return b
}

// Write takes canonical octets.
func (b *bodyHash) Write(p []byte) (int, error) {
	n := len(p)
	if b.limit >= 0 {
		p = p[:min(int64(n), max(b.limit-b.seen, 0))]
	}
	b.sum.Write(p)
	b.seen += int64(n)
	return n, nil
}

// hashBodies reads the body once, into all of them.
func hashBodies(c message.Content, off int64, hashes []*bodyHash) error {
	writers := make([]io.Writer, len(hashes))
	for i, h := range hashes {
		writers[i] = h.body
	}
	r := message.NewWireReader(c, message.Span{Off: off, Len: max(c.Size()-off, 0)})
	if _, err := io.Copy(io.MultiWriter(writers...), r); err != nil {
		return err
	}
	for _, h := range hashes {
		if err := h.body.Close(); err != nil {
			return err
		}
	}
	return nil
}
