package message

import (
	"encoding/binary"
	"strings"
)

// commonWords are types, encodings and the like that have a number in a tree.
// New ones are added at the end; the number of one never changes.
var commonWords = [...]string{
	"", "text", "plain", "html", "multipart", "mixed", "alternative", "related", "signed", "report", "digest",
	"message", "rfc822", "delivery-status", "application", "octet-stream", "pdf", "image", "jpeg", "png", "gif",
	"7bit", "8bit", "binary", "quoted-printable", "base64",
	"us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "windows-1252",
	"attachment", "inline", "calendar", "pkcs7-signature", "pgp-signature", "zip", "msword",
}

// appendWord adds the number of a common word, in small letters, or 255 and the
// word itself.
func appendWord(dst []byte, word string) []byte {
	for i, common := range commonWords {
		if strings.EqualFold(word, common) {
			return append(dst, byte(i))
		}
	}
	dst = append(dst, 255)
	dst = binary.AppendUvarint(dst, uint64(len(word)))
	return append(dst, word...)
}

func (r *digestReader) word() string {
	n := 0
	if octet := r.take(1); octet != nil {
		n = int(octet[0])
	}
	switch {
	case n < len(commonWords):
		return commonWords[n]
	case n == 255:
		return string(r.take(r.number(uint64(len(r.rest)))))
	}
	r.fail()
	return ""
}

// appendTree adds a part and those in it, the outer first: where its header
// begins, counted from where that of the part around it does, sizes, words, and
// how many parts follow.
func appendTree(dst []byte, root *Part) []byte { return appendPart(dst, root, 0) }

func appendPart(dst []byte, p *Part, base int64) []byte {
	for _, n := range []int64{
		p.Header.Off - base, p.Header.Len, p.HeaderWireSize - p.Header.Len,
		p.Body.Off - p.Header.Off - p.Header.Len, p.Body.Len, p.BodyWireSize - p.Body.Len, p.BodyLines,
	} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	charset := ""
	if hasParam(p.Params, "charset") {
		charset = param(p.Params, "charset")
	}
	for _, word := range []string{p.Type, p.Subtype, charset, p.Encoding, p.Disposition} {
		dst = appendWord(dst, word)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Parts)))
	for i := range p.Parts {
		dst = appendPart(dst, &p.Parts[i], p.Header.Off)
	}
	return dst
}

// minPart is the least number of octets that a part takes.
const minPart = 13

func (r *digestReader) part(p *Part, base int64, depth int) {
	n := r.onePart(p, base, depth)
	if n == 0 {
		return
	}
	p.Parts = make([]Part, n)
	for i := range p.Parts {
		r.part(&p.Parts[i], p.Header.Off, depth+1)
	}
}

// eachPart is false when visit wants no more. All parts come in p.
func (r *digestReader) eachPart(visit func(*Part, int, int) bool, p *Part, base int64, depth int) bool {
	*p = Part{Params: p.Params[:0]}
	n := r.onePart(p, base, depth)
	if base = p.Header.Off; r.bad || !visit(p, depth, int(n)) { //nolint:gosec // it is below the length of the digest
		return false
	}
	for range n {
		if !r.eachPart(visit, p, base, depth+1) {
			return false
		}
	}
	return true
}

// onePart reads a part and returns how many parts it has.
func (r *digestReader) onePart(p *Part, base int64, depth int) uint64 {
	if depth > maxDepth {
		r.fail()
		return 0
	}
	const limit = 1 << 50 // sums stay far from overflowing
	number := func() int64 { return int64(r.number(limit)) }
	p.Header.Off = base + number()
	p.Header.Len = number()
	p.HeaderWireSize = p.Header.Len + number()
	p.Body.Off = p.Header.Off + p.Header.Len + number()
	p.Body.Len = number()
	p.BodyWireSize = p.Body.Len + number()
	p.BodyLines = number()
	p.Type, p.Subtype = r.word(), r.word()
	if charset := r.word(); charset != "" {
		p.Params = append(p.Params, Param{"charset", charset})
	}
	p.Encoding, p.Disposition = r.word(), r.word()
	return r.number(uint64(len(r.rest) / minPart))
}
